"""Normalisation of layers, batches, groups and channels."""
