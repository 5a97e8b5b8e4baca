"""Programs run by NumPy: prepared once, so that a run does little else than call ufuncs."""

from minigrad.compile.numpy_backend.code import Bodies, NumpyCode

__all__ = ["Bodies", "NumpyCode"]
