"""Attention, and positions in sequences."""
