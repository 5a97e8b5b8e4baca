"""Modules of normalisation."""
