"""Modules of convolutions."""
