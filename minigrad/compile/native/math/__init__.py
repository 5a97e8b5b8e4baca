"""Functions of floats and integers as native code, for scalars and vectors of any lanes."""
