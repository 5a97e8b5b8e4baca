"""Linear algebra: `minigrad.linalg`, with the array API's names where it has them.

Every function works on stacks of matrices: the last two dimensions are the matrices', those
before them go along or broadcast. Float16 is computed in float32. Complex matrices work as in
NumPy, but have no gradients.
"""

from minigrad.errors import LinAlgError
from minigrad.ops.contractions import cross, kron, outer, tensordot, vecdot
from minigrad.ops.diagonals import diagonal
from minigrad.ops.linalg.determinants import SlogdetResult, cofactors, det, slogdet
from minigrad.ops.linalg.factorizations import QRResult, cholesky, qr
from minigrad.ops.linalg.norms import condition_number as cond
from minigrad.ops.linalg.norms import matrix_norm, norm, trace, vector_norm
from minigrad.ops.linalg.rank import matrix_power, matrix_rank, pinv
from minigrad.ops.linalg.solving import inv, solve, triangular_solve
from minigrad.ops.linalg.spectral import EighResult, SVDResult, eigh, eigvalsh, svd, svdvals
from minigrad.ops.manipulation import matrix_transpose
from minigrad.ops.products import matmul

__all__ = [
    # products
    "matmul",
    "vecdot",
    "tensordot",
    "outer",
    "cross",
    "kron",
    "matrix_power",
    # parts
    "diagonal",
    "trace",
    "matrix_transpose",
    # equations and inverses
    "solve",
    "triangular_solve",
    "inv",
    "pinv",
    # numbers
    "det",
    "slogdet",
    "cofactors",
    "matrix_rank",
    "cond",
    "norm",
    "matrix_norm",
    "vector_norm",
    # decompositions
    "cholesky",
    "qr",
    "eigh",
    "eigvalsh",
    "svd",
    "svdvals",
    # what they return and raise
    "EighResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "LinAlgError",
]
