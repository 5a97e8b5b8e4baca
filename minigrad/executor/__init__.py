"""Executors: from a pruned graph to values. The reference one is the oracle for all others."""
