"""From a graph to a plan: lowered, rewritten, fused, laid out in memory, and run."""
