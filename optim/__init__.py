"""What optimization needs beside gradients: clipping.

The folder is `optim/`; the import name is `minigrad.optim`.
"""

from minigrad.core.origin import mark_internal
from minigrad.optim.clipping import clip_by_global_norm, global_norm

__all__ = ["clip_by_global_norm", "global_norm"]

mark_internal(__path__[0])
