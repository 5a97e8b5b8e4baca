"""What to write instead of a name from NumPy, TensorFlow or PyTorch that minigrad does not have."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Names elsewhere -> what does the same here.
ELSEWHERE = {
    # TensorFlow 1
    "reduce_sum": "mg.sum(x, axis=…)",
    "reduce_mean": "mg.mean(x, axis=…)",
    "reduce_max": "mg.max(x, axis=…)",
    "reduce_min": "mg.min(x, axis=…)",
    "reduce_prod": "mg.prod(x, axis=…)",
    "reduce_all": "mg.all(x, axis=…)",
    "reduce_any": "mg.any(x, axis=…)",
    "reduce_logsumexp": "mg.logsumexp(x, axis=…)",
    "arg_max": "mg.argmax(x, axis=…)",
    "arg_min": "mg.argmin(x, axis=…)",
    "cast": "mg.astype(x, dtype)",
    "to_float": "mg.astype(x, mg.float32)",
    "mul": "mg.multiply",
    "sub": "mg.subtract",
    "div": "mg.divide",
    "truediv": "mg.divide",
    "floordiv": "mg.floor_divide",
    "neg": "mg.negative",
    "transpose": "mg.permute_dims(x, axes), or x.T for two dimensions",
    "range": "mg.arange",
    "pack": "mg.stack",
    "unpack": "mg.unstack",
    "fill": "mg.full(shape, value)",
    "clip_by_value": "mg.clip(x, low, high)",
    "clip_by_global_norm": "mg.optim.clip_by_global_norm",
    "cumsum": "mg.cumulative_sum",
    "cumprod": "mg.cumulative_prod",
    "matrix_inverse": "mg.linalg.inv",
    "matrix_determinant": "mg.linalg.det",
    "matrix_solve": "mg.linalg.solve",
    "self_adjoint_eig": "mg.linalg.eigh",
    "random_normal": "mg.random.normal",
    "random_uniform": "mg.random.uniform",
    "truncated_normal": "mg.random.truncated_normal",
    "random_shuffle": "mg.random.permutation",
    "multinomial": "mg.random.categorical",
    "set_random_seed": "mg.random.seed",
    "initialize_all_variables": "mg.global_variables_initializer",
    "py_func": "mg.host_call",
    "Print": "mg.host_call with a function that prints",
    "get_variable": "mg.Variable",
    # NumPy, JAX and PyTorch
    "jacrev": "mg.jacobian",
    "jacfwd": "mg.jacobian",
    "no_grad": "mg.stop_gradient, or tape.stop_recording()",
    "interp": "mg.searchsorted and mg.take",
    "array": "mg.asarray",
    "tensor": "mg.asarray",
    "from_numpy": "mg.asarray",
    "absolute": "mg.abs",
    "power": "mg.pow",
    "arcsin": "mg.asin",
    "arccos": "mg.acos",
    "arctan": "mg.atan",
    "arctan2": "mg.atan2",
    "arcsinh": "mg.asinh",
    "arccosh": "mg.acosh",
    "arctanh": "mg.atanh",
    "concatenate": "mg.concat",
    "cat": "mg.concat",
    "dot": "mg.matmul, mg.vecdot or the operator @",
    "mm": "mg.matmul",
    "bmm": "mg.matmul",
    "norm": "mg.linalg.norm",
    "det": "mg.linalg.det",
    "inv": "mg.linalg.inv",
    "solve": "mg.linalg.solve",
    "cholesky": "mg.linalg.cholesky",
    "svd": "mg.linalg.svd",
    "trace": "mg.linalg.trace",
    "cross": "mg.linalg.cross",
    "amax": "mg.max",
    "amin": "mg.min",
    "swapaxes": "mg.moveaxis or mg.permute_dims",
    "ravel": "mg.reshape(x, (-1,))",
    "flatten": "mg.reshape(x, (-1,))",
    "detach": "mg.stop_gradient",
    "relu": "mg.nn.relu",
    "softmax": "mg.nn.softmax",
    "log_softmax": "mg.nn.log_softmax",
}


def missing(name: str, known: Iterable[str]) -> str:
    """The message for a name that the package does not have.

    >>> missing("reduce_sum", [])
    "module 'minigrad' has no attribute 'reduce_sum'; here it is mg.sum(x, axis=…)"
    >>> missing("tahn", ["tanh", "sin"])
    "module 'minigrad' has no attribute 'tahn'; did you mean mg.tanh?"
    """
    start = f"module 'minigrad' has no attribute {name!r}"
    if name in ELSEWHERE:
        return f"{start}; here it is {ELSEWHERE[name]}"
    close = difflib.get_close_matches(name, [k for k in known if k[:1] != "_"], 1, cutoff=0.75)
    return f"{start}; did you mean mg.{close[0]}?" if close else start
