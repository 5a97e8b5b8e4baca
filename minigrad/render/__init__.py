"""Pictures of computational graphs: `render`, `to_dot` and `Drawing`."""

from minigrad.render.drawing import Drawing, render, to_dot

__all__ = ["Drawing", "render", "to_dot"]
