"""The bottom of the framework: tensors, primitives, graphs, state. Nothing here knows an op."""
