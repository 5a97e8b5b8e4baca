"""Linear algebra: inverses, solving, determinants, decompositions, norms."""
