"""Native functions of elements, compiled as loops over arrays; for several test files."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.compile.native.engine import load
from minigrad.compile.native.types import I64, PTR, Type, numpy_type, type_of
from minigrad.compile.native.writer import Module, Value, Writer


def element_loop(
    form: Callable[..., Value],
    dtypes: Sequence[Any],
    *,
    lanes: int | None = None,
    vector_bytes: int = 64,
) -> Callable[..., Any]:
    """A function of arrays of these dtypes and one size, computed by ``form(w, *elements)``.

    Full vectors of `lanes` lanes (by default as many as the widest dtype has) come first, the last
    one is masked.
    """
    module = Module(vector_bytes)
    types = [type_of(np.dtype(d)) for d in dtypes]
    width = lanes or min(module.lanes(t) for t in types)
    pointers = [(f"p{i}", PTR) for i in range(len(types) + 1)]
    w = module.function("run", [*pointers, ("n", I64)], linkage="")
    *inputs, output, n = w.parameters
    made: list[Type] = []

    def step(w: Writer, index: Value, mask: Value | None) -> None:
        given = []
        for pointer, t in zip(inputs, types, strict=True):
            address = w.at(pointer, index, t)
            full = t.of(width)
            given.append(w.load_masked(address, full, mask) if mask else w.load(address, full))
        result = form(w, *given)
        made.append(result.type.scalar)
        address = w.at(output, index, result.type.scalar)
        if mask:
            w.store_masked(result, address, mask)
        else:
            w.store(result, address)

    rest = w.make(I64, f"srem {n.typed}, {width}")
    whole = w.sub(n, rest)
    with w.loop(0, whole, width) as loop:
        step(w, loop.index, None)
    if width > 1:
        step(w, whole, w.mask(rest, width))
    w.finish()
    code = load(module.text(), ["run"])
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers), ctypes.c_int64)(
        code.address("run")
    )
    dtype = numpy_type(made[0])

    def run(*arrays: Any, out: Any = None) -> Any:
        held = [np.ascontiguousarray(a, d) for a, d in zip(arrays, dtypes, strict=True)]
        result = np.empty(held[0].shape, dtype) if out is None else out
        function(*[a.ctypes.data for a in held], result.ctypes.data, held[0].size)
        return result

    run.code = code  # type: ignore[attr-defined]
    run.ir = module.text()  # type: ignore[attr-defined]
    return run
