"""Modules: layers that own parameters, and the `Module` they derive from; a file per family."""
