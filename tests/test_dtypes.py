"""How numbers, lists and arrays become tensors, and in which dtype they meet."""

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, "int32"),
        (2**40, "int64"),
        (2**63, "uint64"),
        (1.5, "float32"),
        (True, "bool"),
        (1j, "complex64"),
        ([1, 2.5], "float32"),
        ([], "float32"),
        (np.float64(1.5), "float64"),
        (np.arange(3, dtype=np.uint8), "uint8"),
        ("text", "string"),
        (["a", "b"], "string"),
        (np.array(["a", "b"]), "string"),
    ],
)
def test_what_a_value_becomes(value: Any, dtype: str) -> None:
    assert mg.asarray(value).dtype == dtype
    with mg.Graph().as_default():
        assert mg.constant(value).dtype == dtype


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (1, 2**40, "int64"),
        (2**40, 1, "int64"),
        (1, 2.5, "float32"),
        (2**40, 2.5, "float32"),
        (True, 2, "int32"),
        (1.5, 1j, "complex64"),
    ],
)
def test_two_python_numbers_meet_in_a_dtype_that_holds_both(a: Any, b: Any, dtype: str) -> None:
    made = mg.add(a, b)
    assert made.dtype == dtype
    assert made.item() == pytest.approx(a + b)
    assert mg.add(b, a).dtype == dtype


def test_numpy_scalars_are_not_weak() -> None:
    x = mg.asarray([1.0])
    assert (x * 2.0).dtype == mg.float32
    assert (x * np.float64(2)).dtype == mg.float64
    assert (np.float64(2) * x).dtype == mg.float64


def test_a_number_too_large_for_its_float_is_infinite_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = [
            mg.asarray([1.0]) * 1e300,
            mg.asarray(np.float16(1)) * 10**6,
            mg.asarray(1e300),
            mg.asarray([1e300]),
            mg.asarray(np.float64(1e300), dtype="float32"),
        ]
    assert all(np.isinf(x).all() for x in map(np.asarray, made))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "got None"),
        ([None], "expected numbers"),
        ([[1], [1, 2]], "cannot make a tensor"),
        (np.array([1, 2.5], object), "array of Python objects|one of Python objects"),
        ({}, "cannot make a tensor from dict"),
    ],
)
def test_what_is_no_tensor_is_refused(value: Any, message: str) -> None:
    with pytest.raises(errors.ArgumentTypeError, match=message):
        mg.asarray(value)


def test_none_is_no_dtype() -> None:
    assert mg.float64 != None  # noqa: E711
    with pytest.raises(errors.DTypeError, match="None is not a dtype"):
        mg.astype(mg.asarray(1.0), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8"])
def test_complex_numbers_do_not_lose_their_imaginary_part(dtype: str) -> None:
    z = mg.asarray([1 + 2j, 0j])
    for convert in (
        lambda x: mg.astype(x, dtype),
        lambda x: x.astype(dtype),
        lambda x: mg.sum(x, dtype=dtype),
    ):
        with pytest.raises(errors.DTypeError, match=r"imaginary part.*mg\.real\(x\)"):
            convert(z)
        with mg.Graph().as_default():
            p = mg.placeholder("complex64", None)
            with pytest.raises(errors.DTypeError, match=r"imaginary part.*mg\.real\(x\)"):
                convert(p)
    assert mg.astype(z, "complex128").tolist() == [1 + 2j, 0j]
    assert mg.astype(z, "bool").tolist() == [True, False]
    assert mg.astype([1.0, 2.0], "complex64").tolist() == [1 + 0j, 2 + 0j]


def test_no_gradient_flows_from_complex_numbers_into_the_real_ones_they_came_from() -> None:
    @mg.custom_gradient
    def through(z: Any) -> Any:
        return mg.real(z), lambda g: z

    with pytest.raises(errors.NotDifferentiableError, match="complex"):
        mg.grad(lambda x: mg.sum(through(mg.astype(x, "complex128"))))(np.ones(2))


def test_dtypes_and_primitives_stay_themselves_when_copied() -> None:
    for thing in (mg.float32, mg.sin):
        assert pickle.loads(pickle.dumps(thing)) is thing
        assert copy.deepcopy(thing) is thing


def test_a_tensor_of_several_elements_is_no_python_number() -> None:
    x = mg.asarray([1.0, 2.0])
    for convert in (float, int, bool, complex, "{:.2f}".format, lambda x: x.item()):
        with pytest.raises(errors.ShapeError, match="one element, got shape"):
            convert(x)
    assert float(mg.asarray([1.5])) == 1.5
    assert f"{mg.asarray(1.5):.2f}" == "1.50"
    with pytest.raises(errors.ArgumentError, match="only device"):
        x.to_device("gpu")
