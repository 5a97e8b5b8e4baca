"""Loss functions, and what they share: labels, masks, reductions."""
