"""Neural networks: modules, layers, activations, losses and initializers.

The folder is `nn/`; the import name is `minigrad.nn`.
"""

__all__: list[str] = []
