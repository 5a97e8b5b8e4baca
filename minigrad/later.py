"""What `import minigrad` does not load: modules that wait until one of their names is used.

At once come the core and the ops that Python's operators and the methods of tensors are made of.
A new public function goes into the ``__all__`` of its module and, if that module stands below,
into its list here; ``tests/test_import.py`` compares the two.
"""

from __future__ import annotations

#: Packages and modules that are public themselves: ``mg.linalg``.
NAMESPACES = ("linalg", "nn", "optim", "random")

#: Module -> its public names, for modules that define primitives, or import those that do.
OPS = {
    "minigrad.checkpointing": "checkpoint",
    "minigrad.control_flow": "cond fori_loop map_fn scan switch_case while_loop",
    "minigrad.functions.api": "function",
    "minigrad.linalg": "",
    "minigrad.ops.along_axis": "take_along_axis",
    "minigrad.ops.broadcasting": "broadcast_arrays broadcast_to expand_dims meshgrid squeeze",
    "minigrad.ops.contractions": "kron outer tensordot vecdot",
    "minigrad.ops.control": "global_variables_initializer group no_op variables_initializer",
    "minigrad.ops.creation": "empty empty_like eye from_dlpack full full_like ones zeros",
    "minigrad.ops.data_dependent": (
        "UniqueAll UniqueCounts UniqueInverse nonzero unique unique_all unique_counts "
        "unique_inverse unique_values"
    ),
    "minigrad.ops.diagonals": "diag diagonal tril triu",
    "minigrad.ops.differences": "diff",
    "minigrad.ops.effects": "add_effect assign_moving_average",
    "minigrad.ops.einsum": "einsum",
    "minigrad.ops.encoding": "one_hot",
    "minigrad.ops.gathering": "gather slices_to_dense",
    "minigrad.ops.hyperbolic": "acosh asinh atanh cosh sinh tanh",
    "minigrad.ops.joining": "concat split",
    "minigrad.ops.padding": "pad",
    "minigrad.ops.ranges": "arange linspace",
    "minigrad.ops.scattering": "gather_nd scatter",
    "minigrad.ops.sorting": "TopK argsort searchsorted sort top_k",
    "minigrad.ops.special_functions": "digamma erf erfc erfinv lgamma polygamma sinc",
    "minigrad.ops.tiling": "repeat tile",
    "minigrad.ops.trigonometric": "acos asin atan atan2 cos sin tan",
    "minigrad.ops.updates": "index_add index_set last_writer",
    "minigrad.random": "",
}

#: The same for all others.
TOOLS = {
    "minigrad.autodiff": "gradients",
    "minigrad.explaining": "explain",
    "minigrad.gradcheck.api": "gradcheck",
    "minigrad.gradcheck.primitives": "PrimitiveReport check_primitive",
    "minigrad.gradcheck.report": "ArgumentCheck Component GradcheckReport",
    "minigrad.namespace": (
        "FInfo IInfo NamespaceInfo __array_api_version__ __array_namespace_info__ can_cast finfo "
        "iinfo isdtype result_type"
    ),
    "minigrad.render.drawing": "Drawing render to_dot",
    "minigrad.saving": "restore save",
    "minigrad.session": "Session get_default_session",
    "minigrad.tape": "GradientTape",
    "minigrad.threads": "get_num_threads set_num_threads",
    "minigrad.transforms": "grad hessian hvp jacobian jvp value_and_grad vjp",
}

#: Public name -> the module that has it.
MODULE_OF = {name: module for module, names in (OPS | TOOLS).items() for name in names.split()}
