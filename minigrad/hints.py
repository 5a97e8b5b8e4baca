"""What to write instead of a name from NumPy, TensorFlow or PyTorch that minigrad does not have."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Names elsewhere -> what does the same here, by module.
ELSEWHERE = {
    "minigrad": {},
    "minigrad.nn": {
        # Keras
        "Dense": "nn.Linear(in_features or None, out_features)",
        "Conv1D": "nn.Conv1d",
        "Conv2D": "nn.Conv2d",
        "Conv3D": "nn.Conv3d",
        "Conv2DTranspose": "nn.ConvTranspose2d",
        "DepthwiseConv2D": "nn.DepthwiseConv2d",
        "SeparableConv2D": "nn.SeparableConv2d",
        "MaxPooling2D": "nn.MaxPool2d",
        "MaxPool2D": "nn.MaxPool2d",
        "AveragePooling2D": "nn.AvgPool2d",
        "GlobalAveragePooling2D": "nn.GlobalAvgPool",
        "GlobalMaxPooling2D": "nn.GlobalMaxPool",
        "AdaptiveAvgPool2d": "nn.GlobalAvgPool",
        "BatchNormalization": "nn.BatchNorm",
        "LayerNormalization": "nn.LayerNorm",
        "SpatialDropout2D": "nn.SpatialDropout2d",
        "Dropout2d": "nn.SpatialDropout2d",
        "ZeroPadding2D": "nn.ZeroPad2d",
        "UpSampling2D": "nn.Upsample",
        "SimpleRNN": "nn.RNN",
        "Bidirectional": "nn.LSTM(…, bidirectional=True)",
        "Model": "nn.Module",
        "Layer": "nn.Module",
        "Input": "mg.placeholder(dtype, (None, …))",
        "Reshape": "nn.Lambda(lambda x: mg.reshape(x, shape))",
        "Unflatten": "nn.Lambda(lambda x: mg.reshape(x, shape))",
        # PyTorch
        "Parameter": "Module.add_parameter(name, shape, initializer)",
        "ParameterList": "a list of mg.Variable as an attribute",
        "init": "nn.initializers",
        "functional": "nn itself: nn.relu, nn.conv2d, …",
        "MultiheadAttention": "nn.MultiHeadAttention",
        "BCEWithLogits": "nn.BCEWithLogitsLoss",
        "one_hot": "mg.one_hot",
        "clip_grad_norm_": "the option clip_global_norm of an optimizer",
        # TensorFlow 1
        "conv2d_backprop_input": "nn.conv2d_transpose",
        "max_pool": "nn.max_pool2d(x, window)",
        "avg_pool": "nn.avg_pool2d(x, window)",
        "bias_add": "x + bias",
        "l2_loss": "nn.l2_penalty([w], 0.5)",
        "embedding_lookup": "nn.embedding(ids, table)",
        "sigmoid_cross_entropy_with_logits": "nn.sigmoid_cross_entropy(logits, labels)",
        "softmax_cross_entropy_with_logits": "nn.softmax_cross_entropy(logits, probabilities)",
        "softmax_cross_entropy_with_logits_v2": "nn.softmax_cross_entropy(logits, probabilities)",
        "sparse_softmax_cross_entropy_with_logits": "nn.softmax_cross_entropy(logits, labels)",
        "moments": "mg.mean and mg.var",
        "rnn_cell": "nn.LSTMCell, nn.GRUCell, nn.RNNCell",
        "dynamic_rnn": "nn.LSTM(…)(x, lengths=…)",
        "local_response_normalisation": "nn.local_response_normalization",
        "lrn": "nn.local_response_normalization",
    },
    "minigrad.optim": {
        "lr_scheduler": "optim's own schedules, passed as the learning rate: optim.Adam(schedule)",
        "StepLR": "optim.StepDecay",
        "MultiStepLR": "optim.PiecewiseConstant",
        "ExponentialLR": "optim.ExponentialDecay",
        "CosineAnnealingLR": "optim.CosineDecay",
        "CosineAnnealingWarmRestarts": "optim.CosineDecayRestarts",
        "OneCycleLR": "optim.OneCycle",
        "ReduceLROnPlateau": "optim.ReduceOnPlateau",
        "LambdaLR": "any function of the step: optim.Adam(lambda step: …)",
        "GradientDescentOptimizer": "optim.SGD",
        "MomentumOptimizer": "optim.Momentum",
        "AdamOptimizer": "optim.Adam",
        "AdagradOptimizer": "optim.AdaGrad",
        "Adagrad": "optim.AdaGrad",
        "AdadeltaOptimizer": "optim.Adadelta",
        "RMSPropOptimizer": "optim.RMSprop",
        "exponential_decay": "optim.ExponentialDecay",
        "clip_grad_norm_": "the option clip_global_norm of an optimizer",
        "swa_utils": "optim.StochasticWeightAveraging",
        "EMA": "optim.ExponentialMovingAverage",
    },
}
#: How programs call the modules.
_SHORT = {"minigrad": "mg", "minigrad.nn": "nn", "minigrad.optim": "optim"}

ELSEWHERE["minigrad"] |= {
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
    "train": "mg.optim for optimizers, mg.save and mg.restore for variables",
    "layers": "mg.nn",
    "keras": "mg.nn",
    "InteractiveSession": "mg.Session in a with block, or eager code",
    "functional": "mg.nn",
}


def missing(name: str, known: Iterable[str], module: str = "minigrad") -> str:
    """The message for a name that a module of the package does not have.

    >>> missing("reduce_sum", [])
    "module 'minigrad' has no attribute 'reduce_sum'; here it is mg.sum(x, axis=…)"
    >>> missing("tahn", ["tanh", "sin"])
    "module 'minigrad' has no attribute 'tahn'; did you mean mg.tanh?"
    >>> missing("StepLR", [], "minigrad.optim")
    "module 'minigrad.optim' has no attribute 'StepLR'; here it is optim.StepDecay"
    """
    start = f"module {module!r} has no attribute {name!r}"
    if name in ELSEWHERE[module]:
        return f"{start}; here it is {ELSEWHERE[module][name]}"
    close = difflib.get_close_matches(name, [k for k in known if k[:1] != "_"], 1, cutoff=0.75)
    return f"{start}; did you mean {_SHORT[module]}.{close[0]}?" if close else start
