"""Random graphs, and how the ways of running one are compared."""
