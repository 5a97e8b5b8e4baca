"""Pictures of computational graphs: `render`, `to_dot` and `Drawing` (`drawing.py`)."""
