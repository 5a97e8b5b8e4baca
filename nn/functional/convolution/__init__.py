"""Convolutions: public functions, the primitives under them, and their kernels."""
