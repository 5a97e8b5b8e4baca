"""`Module`, and what it is made of: parts, declared parameters, names, state, summaries."""
