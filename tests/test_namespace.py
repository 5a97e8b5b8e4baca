"""The array API's functions of dtypes, and the namespace's account of itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors, hints

#: The standard's functions, 2024.12, that are not about arrays being changed in place.
STANDARD = """
abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh
bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
broadcast_arrays broadcast_to can_cast ceil clip concat conj copysign cos cosh count_nonzero
cumulative_prod cumulative_sum diff divide e empty empty_like equal exp expand_dims expm1 eye
finfo flip floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo imag
inf isdtype isfinite isinf isnan less less_equal linspace log log10 log1p log2 logaddexp
logical_and logical_not logical_or logical_xor matmul matrix_transpose max maximum mean meshgrid
min minimum moveaxis multiply nan negative newaxis nextafter nonzero not_equal ones ones_like
permute_dims pi positive pow prod real reciprocal remainder repeat reshape result_type roll round
searchsorted sign signbit sin sinh sort sqrt square squeeze stack std subtract sum take
take_along_axis tan tanh tensordot tile tril triu trunc unique_all unique_counts unique_inverse
unique_values unstack var vecdot where zeros zeros_like bool int8 int16 int32 int64 uint8 uint16
uint32 uint64 float32 float64 complex64 complex128 __array_api_version__ __array_namespace_info__
"""
LINALG = """
cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank
matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""


def test_the_namespace_has_what_the_standard_has() -> None:
    xp = mg.asarray([1.0]).__array_namespace__()
    assert xp is mg
    assert mg.asarray([1.0]).__array_namespace__(api_version="2022.12") is mg
    with pytest.raises(errors.ArgumentError, match=r"versions 2021\.12, .*, got '1999\.12'"):
        mg.asarray([1.0]).__array_namespace__(api_version="1999.12")
    assert [name for name in STANDARD.split() if not hasattr(xp, name)] == []
    assert [name for name in LINALG.split() if not hasattr(xp.linalg, name)] == []
    assert xp.__array_api_version__ == "2024.12"


def test_code_written_for_the_standard_runs() -> None:
    def standardize(x: Any) -> Any:
        xp = x.__array_namespace__()
        if not xp.isdtype(x.dtype, "real floating"):
            x = xp.astype(x, xp.__array_namespace_info__().default_dtypes()["real floating"])
        deviation = xp.maximum(xp.std(x, axis=0, keepdims=True), xp.finfo(x.dtype).eps)
        return (x - xp.mean(x, axis=0, keepdims=True)) / deviation

    x = np.array([[1.0, 2.0], [3.0, 2.0]])
    np.testing.assert_allclose(standardize(mg.asarray(x)), standardize(x))
    assert standardize(mg.asarray([[1, 2]])).dtype is mg.float32


def test_limits() -> None:
    for name in ("float16", "float32", "float64"):
        ours, numpys = mg.finfo(name), np.finfo(name)
        assert ours.bits == numpys.bits
        assert ours.dtype == name
        for field in ("eps", "max", "min", "smallest_normal"):
            assert getattr(ours, field) == float(getattr(numpys, field))
            assert type(getattr(ours, field)) is float
    assert mg.finfo(mg.complex128).dtype is mg.float64
    assert mg.finfo(mg.asarray([1.0])).bits == 32
    assert mg.finfo(mg.Variable(1.0)).bits == 32
    assert mg.iinfo(mg.uint8) == (8, 255, 0, mg.uint8)
    assert mg.iinfo(np.arange(2)).min == -(2**63)
    with pytest.raises(errors.DTypeError, match=r"finfo expected a floating .* got int32"):
        mg.finfo("int32")
    with pytest.raises(errors.DTypeError, match="iinfo expected an integer dtype, got float32"):
        mg.iinfo(mg.float32)


def test_kinds() -> None:
    kinds = {
        "bool": {"bool"},
        "signed integer": {"int8", "int16", "int32", "int64"},
        "unsigned integer": {"uint8", "uint16", "uint32", "uint64"},
        "real floating": {"float16", "float32", "float64"},
        "complex floating": {"complex64", "complex128"},
    }
    info = mg.__array_namespace_info__()
    for kind, names in kinds.items():
        assert set(info.dtypes(kind=kind)) == names
    numeric = set().union(*kinds.values()) - {"bool"}
    assert set(info.dtypes(kind="numeric")) == numeric
    assert set(info.dtypes(kind=("bool", "numeric"))) == set(info.dtypes()) == numeric | {"bool"}
    assert mg.isdtype("int64", mg.int64)
    assert not mg.isdtype("int64", mg.int32)
    with pytest.raises(errors.ArgumentError, match=r"one of 'bool', .*got 'floating'"):
        mg.isdtype(mg.int32, "floating")
    assert (info.devices(), info.default_device()) == (["cpu"], "cpu")
    assert info.capabilities()["boolean indexing"]
    with pytest.raises(errors.ArgumentError, match="only device is 'cpu', got 'cuda'"):
        info.default_dtypes(device="cuda")


def test_casts_and_results() -> None:
    assert mg.can_cast(mg.int8, mg.int32)
    assert not mg.can_cast(mg.int32, mg.int8)
    assert mg.can_cast(mg.asarray([1]), mg.float32)
    assert not mg.can_cast("string", mg.float32)
    operands: list[tuple[Any, ...]] = [
        (mg.asarray([1]), np.float64(2.0)),
        (mg.asarray([1]), 2.5),
        (np.ones(1), 3),
        (mg.Variable(1.0), True),
        (np.int8([1]), mg.asarray(np.uint8([1]))),
    ]
    for a, b in operands:
        assert mg.result_type(a, b) is mg.add(a, b).dtype
        assert mg.result_type(b, a) is mg.add(b, a).dtype
    assert mg.result_type(1, 2.0) is mg.float32
    assert mg.result_type(mg.int8, mg.int16, mg.float64) is mg.float64
    with pytest.raises(errors.DTypeError, match="300 does not fit int8"):
        mg.result_type(mg.int8, 300)
    with pytest.raises(errors.ArgumentTypeError, match="at least one"):
        mg.result_type()


def test_what_makes_tensors_takes_a_device() -> None:
    x = mg.asarray([1.0, 2.0])
    makers: list[Callable[..., Any]] = [
        lambda **k: mg.asarray([1.0], **k),
        lambda **k: mg.astype(x, "int32", **k),
        lambda **k: mg.arange(3, **k),
        lambda **k: mg.empty((2,), **k),
        lambda **k: mg.empty_like(x, **k),
        lambda **k: mg.eye(2, **k),
        lambda **k: mg.from_dlpack(np.ones(2), **k),
        lambda **k: mg.full((2,), 1.0, **k),
        lambda **k: mg.full_like(x, 1.0, **k),
        lambda **k: mg.linspace(0.0, 1.0, 3, **k),
        lambda **k: mg.ones((2,), **k),
        lambda **k: mg.ones_like(x, **k),
        lambda **k: mg.zeros((2,), **k),
        lambda **k: mg.zeros_like(x, **k),
    ]
    for make in makers:
        assert make(device="cpu").device == "cpu"
        with pytest.raises(errors.ArgumentError, match="only device is 'cpu', got 'cuda'"):
            make(device="cuda")


def test_dlpack_both_ways() -> None:
    x = mg.asarray([[1.0, 2.0], [3.0, 4.0]])
    there = np.from_dlpack(x)
    assert not there.flags.writeable
    np.testing.assert_array_equal(there, x.numpy())
    source = np.arange(3)
    back = mg.from_dlpack(source)
    source[0] = 9
    assert back.tolist() == [0, 1, 2]
    with mg.Graph().as_default():
        symbolic = mg.placeholder("float32", (2,))
    with pytest.raises(errors.SymbolicTensorError, match="no memory to share; run it"):
        np.from_dlpack(symbolic)


def test_a_name_from_elsewhere_is_answered_with_ours() -> None:
    with pytest.raises(AttributeError, match=r"here it is mg\.sum\(x, axis=…\)"):
        mg.reduce_sum  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"did you mean mg\.softplus\?"):
        mg.softpluss  # type: ignore[attr-defined]
    assert mg.nn.__name__ == "minigrad.nn"
    assert not hasattr(mg, "no_such_thing_at_all")


def test_every_hint_names_what_exists() -> None:
    for table in hints.ELSEWHERE.values():
        for hint in table.values():
            for name in re.findall(r"\b((?:mg|nn|optim)\.[a-zA-Z_0-9.]+[a-zA-Z_0-9])", hint):
                found = {"mg": mg, "nn": mg.nn, "optim": mg.optim}[name.partition(".")[0]]
                for part in name.split(".")[1:]:
                    found = getattr(found, part)


@pytest.mark.parametrize("module", [mg.nn, mg.optim], ids=lambda m: m.__name__)
def test_the_index_of_a_package_names_all_that_is_public(module: ModuleType) -> None:
    listed = set(re.findall(r"\w+", module.__doc__ or ""))
    public = {
        name
        for name, value in vars(module).items()
        if name[0] != "_" and not isinstance(value, ModuleType)
    }
    assert public <= listed
    index = (module.__doc__ or "").partition("Layers:" if module is mg.nn else "Optimizers:")[2]
    lines = [line for line in index.splitlines() if line.startswith("    ")]
    named = re.findall(r"\b[A-Z]\w*[A-Za-z0-9]\b|\b\w+_\w+\b", "\n".join(lines))
    known = public | set(vars(mg.nn.initializers))
    assert set(named) <= known


def test_names_of_other_libraries_lead_to_ours() -> None:
    with pytest.raises(AttributeError, match=r"minigrad\.nn' has no attribute 'Dense'; here"):
        mg.nn.Dense
    with pytest.raises(AttributeError, match=r"did you mean nn\.Conv2d\?"):
        mg.nn.Conv2dd
    with pytest.raises(AttributeError, match=r"here it is optim\.StepDecay"):
        mg.optim.StepLR
