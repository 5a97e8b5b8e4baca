"""minigrad: reverse-mode automatic differentiation on NumPy, lazily and eagerly.

Array functions carry the array API standard's names, graph machinery TensorFlow's. In eager code
ops compute at once; inside ``with mg.Graph().as_default():`` they add nodes that a `Session` runs.

>>> import minigrad as mg
>>> mg.grad(lambda w: w**2 - 10.0 * w + 25.0)(4.0)
Tensor(-2., shape=(), dtype=float32)
"""

from minigrad import errors, linalg, random, serialize
from minigrad.autodiff import (
    gradients,
)
from minigrad.checkpointing import (
    checkpoint,
)
from minigrad.core import (
    registry,
)
from minigrad.core.bind import (
    bind,
    bind_all,
)
from minigrad.core.floating import (
    errstate,
)
from minigrad.core.graph import (
    Graph,
    GraphKeys,
    Operation,
    add_to_collection,
    control_dependencies,
    executing_eagerly,
    get_collection,
    get_default_graph,
    global_variables,
    name_scope,
    reset_default_graph,
    trainable_variables,
)
from minigrad.core.indexed_slices import (
    IndexedSlices,
)
from minigrad.core.primitive import (
    Ctx,
    Grads,
    Primitive,
    composite,
    primitive,
)
from minigrad.core.registry import (
    verify,
)
from minigrad.core.samples import (
    Fails,
    Sample,
    VariableArgument,
)
from minigrad.core.tensor import (
    Tensor,
    TensorLike,
)
from minigrad.core.variable import (
    Variable,
)
from minigrad.dtypes import (
    DType,
    as_dtype,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    string,
    uint8,
    uint16,
    uint32,
    uint64,
)
from minigrad.dtypes import (
    bool_ as bool,
)
from minigrad.gradcheck import (
    GradcheckReport,
    check_primitive,
    gradcheck,
)
from minigrad.ops import methods
from minigrad.ops.along_axis import (
    take_along_axis,
)
from minigrad.ops.basic import (
    asarray,
    astype,
    constant,
    convert_to_tensor,
    ensure_shape,
    identity,
    placeholder,
    placeholder_with_default,
    stop_gradient,
)
from minigrad.ops.broadcasting import (
    broadcast_arrays,
    broadcast_to,
    expand_dims,
    meshgrid,
    squeeze,
)
from minigrad.ops.comparison import (
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    not_equal,
)
from minigrad.ops.contractions import (
    kron,
    outer,
    tensordot,
    vecdot,
)
from minigrad.ops.control import (
    global_variables_initializer,
    group,
    no_op,
    variables_initializer,
)
from minigrad.ops.counting import (
    all,
    any,
    argmax,
    argmin,
    count_nonzero,
)
from minigrad.ops.creation import (
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    ones,
    zeros,
)
from minigrad.ops.custom import (
    custom_gradient,
    host_call,
    with_gradient,
)
from minigrad.ops.data_dependent import (
    UniqueAll,
    UniqueCounts,
    UniqueInverse,
    nonzero,
    unique,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from minigrad.ops.diagonals import (
    diag,
    diagonal,
    tril,
    triu,
)
from minigrad.ops.differences import (
    diff,
)
from minigrad.ops.einsum import (
    einsum,
)
from minigrad.ops.elementwise import (
    add,
    add_n,
    divide,
    floor_divide,
    fmod,
    multiply,
    negative,
    positive,
    remainder,
    subtract,
    xdivy,
)
from minigrad.ops.encoding import (
    one_hot,
)
from minigrad.ops.exponential import (
    exp,
    expm1,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    sigmoid,
    softplus,
    xlogy,
)
from minigrad.ops.gathering import (
    gather,
    slices_to_dense,
)
from minigrad.ops.indexing import (
    boolean_mask,
    getitem,
    take,
)
from minigrad.ops.joining import (
    concat,
    split,
)
from minigrad.ops.logic import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
)
from minigrad.ops.manipulation import (
    flip,
    matrix_transpose,
    moveaxis,
    permute_dims,
    reshape,
    roll,
)
from minigrad.ops.padding import (
    pad,
)
from minigrad.ops.powers import (
    cbrt,
    hypot,
    pow,
    reciprocal,
    rsqrt,
    sqrt,
    square,
)
from minigrad.ops.products import (
    matmul,
)
from minigrad.ops.ranges import (
    arange,
    linspace,
)
from minigrad.ops.reductions import (
    max,
    min,
    prod,
    sum,
)
from minigrad.ops.rounding import (
    ceil,
    floor,
    round,
    trunc,
)
from minigrad.ops.scans import (
    cumulative_prod,
    cumulative_sum,
)
from minigrad.ops.scattering import (
    gather_nd,
    scatter,
)
from minigrad.ops.selection import (
    clip,
    maximum,
    minimum,
    where,
)
from minigrad.ops.shaping import (
    broadcast_like,
    fill_like,
    ones_like,
    reshape_like,
    shape,
    size,
    sum_to_like,
    zeros_like,
)
from minigrad.ops.signs import (
    abs,
    conj,
    copysign,
    imag,
    nextafter,
    real,
    sign,
    signbit,
)
from minigrad.ops.sorting import (
    TopK,
    argsort,
    searchsorted,
    sort,
    top_k,
)
from minigrad.ops.special_functions import (
    digamma,
    erf,
    erfc,
    erfinv,
    lgamma,
    polygamma,
    sinc,
)
from minigrad.ops.stacking import (
    stack,
    unstack,
)
from minigrad.ops.state_ops import (
    assign,
    assign_add,
    assign_sub,
    read_variable,
    scatter_add,
    scatter_assign,
    scatter_sub,
)
from minigrad.ops.statistics import (
    logsumexp,
    mean,
    std,
    var,
)
from minigrad.ops.tiling import (
    repeat,
    tile,
)
from minigrad.ops.trigonometric import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    sin,
    sinh,
    tan,
    tanh,
)
from minigrad.ops.updates import (
    index_add,
    index_set,
    last_writer,
)
from minigrad.render import (
    Drawing,
    render,
    to_dot,
)
from minigrad.saving import (
    restore,
    save,
)
from minigrad.session import (
    Session,
    get_default_session,
)
from minigrad.shapes import (
    Spec,
)
from minigrad.tape import (
    GradientTape,
)
from minigrad.transforms import (
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    value_and_grad,
    vjp,
)

__version__ = "0.1.0"

#: The array API's constants.
e = 2.718281828459045
pi = 3.141592653589793
inf = float("inf")
nan = float("nan")
newaxis = None

__all__ = [
    "Ctx",
    "DType",
    "Drawing",
    "Fails",
    "GradcheckReport",
    "GradientTape",
    "Grads",
    "Graph",
    "GraphKeys",
    "IndexedSlices",
    "Operation",
    "Primitive",
    "Sample",
    "Session",
    "Spec",
    "Tensor",
    "TensorLike",
    "TopK",
    "UniqueAll",
    "UniqueCounts",
    "UniqueInverse",
    "Variable",
    "VariableArgument",
    "abs",
    "acos",
    "acosh",
    "add",
    "add_n",
    "add_to_collection",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "as_dtype",
    "asarray",
    "asin",
    "asinh",
    "assign",
    "assign_add",
    "assign_sub",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bind",
    "bind_all",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bool",
    "boolean_mask",
    "broadcast_arrays",
    "broadcast_like",
    "broadcast_to",
    "cbrt",
    "ceil",
    "check_primitive",
    "checkpoint",
    "clip",
    "complex128",
    "complex64",
    "composite",
    "concat",
    "conj",
    "constant",
    "control_dependencies",
    "convert_to_tensor",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "custom_gradient",
    "diag",
    "diagonal",
    "diff",
    "digamma",
    "divide",
    "e",
    "einsum",
    "empty",
    "empty_like",
    "ensure_shape",
    "equal",
    "erf",
    "erfc",
    "erfinv",
    "errors",
    "errstate",
    "executing_eagerly",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "fill_like",
    "flip",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "fmod",
    "from_dlpack",
    "full",
    "full_like",
    "gather",
    "gather_nd",
    "get_collection",
    "get_default_graph",
    "get_default_session",
    "getitem",
    "global_variables",
    "global_variables_initializer",
    "grad",
    "gradcheck",
    "gradients",
    "greater",
    "greater_equal",
    "group",
    "hessian",
    "host_call",
    "hvp",
    "hypot",
    "identity",
    "imag",
    "index_add",
    "index_set",
    "inf",
    "int16",
    "int32",
    "int64",
    "int8",
    "isfinite",
    "isinf",
    "isnan",
    "jacobian",
    "jvp",
    "kron",
    "last_writer",
    "less",
    "less_equal",
    "lgamma",
    "linalg",
    "linspace",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "name_scope",
    "nan",
    "negative",
    "newaxis",
    "nextafter",
    "no_op",
    "nonzero",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "permute_dims",
    "pi",
    "placeholder",
    "placeholder_with_default",
    "polygamma",
    "positive",
    "pow",
    "primitive",
    "prod",
    "random",
    "read_variable",
    "real",
    "reciprocal",
    "registry",
    "remainder",
    "render",
    "repeat",
    "reset_default_graph",
    "reshape",
    "reshape_like",
    "restore",
    "roll",
    "round",
    "rsqrt",
    "save",
    "scatter",
    "scatter_add",
    "scatter_assign",
    "scatter_sub",
    "searchsorted",
    "shape",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "size",
    "slices_to_dense",
    "softplus",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "string",
    "subtract",
    "sum",
    "sum_to_like",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "to_dot",
    "top_k",
    "trainable_variables",
    "tril",
    "triu",
    "trunc",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "value_and_grad",
    "var",
    "variables_initializer",
    "vecdot",
    "verify",
    "vjp",
    "where",
    "with_gradient",
    "xdivy",
    "xlogy",
    "zeros",
    "zeros_like",
]

methods.install()
serialize.install()
registry.verify()
