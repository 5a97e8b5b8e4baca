"""Random kernels against TensorFlow's own numbers, published vectors and a scalar reference."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import philox
from minigrad import random_kernels as rk
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "philox.json").read_text("utf-8"))
KEY = (87654321, 2)


def case_name(case: dict[str, Any]) -> str:
    size = case.get("n", f"{len(case.get('logits', []))}x{case.get('num_samples')}")
    return f"{case['op']}-{case['dtype']}-{size}-key{case['key'][0]}"


def draw(case: dict[str, Any], counter: int) -> tuple[np.ndarray[Any, Any], int]:
    """The numbers of one run of a recorded case and the counter after it."""
    op, key, dtype = case["op"], tuple(case["key"]), case["dtype"]
    n: int = case.get("n", 0)
    if op == "permutation":
        return rk.permutation(key, counter, n), counter + rk.permutation_blocks_reserved(n)
    if op == "categorical":
        logits, samples = np.array(case["logits"], dtype), case["num_samples"]
        used = rk.categorical_blocks_reserved(len(logits), samples)
        return rk.categorical(key, counter, logits, samples).reshape(-1), counter + used
    if op == "integers":
        value = rk.integers(key, counter, n, case["low"], case["high"], dtype)
    else:
        value = getattr(rk, op)(key, counter, n, dtype)
    return value, counter + rk.blocks_reserved(n)


@pytest.mark.parametrize("case", FIXTURE["cases"], ids=case_name)
def test_successive_runs_give_tensorflows_numbers(case: dict[str, Any]) -> None:
    counter = 0
    for run in case["runs"]:
        value, counter = draw(case, counter)
        assert value.dtype == np.dtype("int64" if case["op"] == "categorical" else case["dtype"])
        if "sha256" in run:
            little = value.astype(value.dtype.newbyteorder("<"))
            assert hashlib.sha256(little.tobytes()).hexdigest() == run["sha256"]
            continue
        expected = np.array(run["values"], dtype=value.dtype)
        picked = value[:: run.get("stride", 1)]
        assert picked.shape == expected.shape
        if "normal" in case["op"]:
            tolerance = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-13}[case["dtype"]]
            np.testing.assert_allclose(picked, expected, rtol=0, atol=tolerance)
        else:
            np.testing.assert_array_equal(picked, expected)


# Random123, kat_vectors, "philox4x32 10": counter, key, result.
KNOWN_ANSWERS = [
    ("00000000 " * 4, "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def hex_words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_the_cipher_gives_the_published_known_answers(counter: str, key: str, result: str) -> None:
    low, high = hex_words(key)
    c = hex_words(counter)
    assert philox.philox4x32(low | high << 32, c).tolist() == hex_words(result)
    # The same block through a stream's (key, counter) layout.
    stream = (low | high << 32, c[2] | c[3] << 32)
    assert philox.uniform_bits(stream, c[0] | c[1] << 32, 4).tolist() == hex_words(result)


def test_numbers_printed_by_tensorflow_1_course_material() -> None:
    def scalars(seed: int, seed2: int, count: int) -> list[str]:
        draws = [rk.uniform((seed, seed2), run * rk.blocks_reserved(1), 1) for run in range(count)]
        return [str(np.float32(20) * u[0] - np.float32(10)) for u in draws]

    # random_uniform([], -10, 10): op seed 2, two runs; then graph seed 2 at nodes 31 and 38.
    assert scalars(*philox.key_from_seeds(None, 2), 2) == ["3.574932", "-5.9731865"]
    assert scalars(*philox.key_from_seeds(2, None, 31), 1) == ["9.123926"]
    assert scalars(*philox.key_from_seeds(2, None, 38), 1) == ["-4.5340395"]


def reference_words(key: philox.Key, counter: int) -> Iterator[int]:
    """Philox4x32-10 in plain Python integers, one word at a time."""
    mask = 0xFFFFFFFF
    while True:
        full = (((key[1] % 2**64) << 64) + counter) % 2**128
        c = [(full >> shift) & mask for shift in (0, 32, 64, 96)]
        k0, k1 = key[0] & mask, (key[0] >> 32) & mask
        for _ in range(10):
            p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(p1 >> 32) ^ c[1] ^ k0, p1 & mask, (p0 >> 32) ^ c[3] ^ k1, p0 & mask]
            k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
        yield from c
        counter += 1


keys = st.tuples(st.integers(-(2**63), 2**64 - 1), st.integers(-(2**63), 2**64 - 1))
counters = st.integers(0, 2**66) | st.integers(2**64 - 40, 2**64)


@given(keys, counters, st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_words_equal_a_scalar_implementation(key: philox.Key, counter: int, n: int) -> None:
    words = reference_words(key, counter)
    assert philox.uniform_bits(key, counter, n).tolist() == [next(words) for _ in range(n)]


@given(keys, counters, st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_truncated_normal_equals_a_scalar_rejection_loop(
    key: philox.Key, counter: int, n: int
) -> None:
    expected: list[float] = []
    for group in range(-(-n // 4)):
        words = reference_words(key, counter + 256 * group)
        kept: list[float] = []
        while len(kept) < 4:
            u, v = ((next(words) & 0x7FFFFF) / 2**23 for _ in range(2))
            radius = math.sqrt(-2 * math.log(max(u, 1e-7)))
            pair = (radius * math.sin(2 * math.pi * v), radius * math.cos(2 * math.pi * v))
            kept += [x for x in pair if abs(x) < 2]
        expected += kept[:4]
    value = rk.truncated_normal(key, counter, n)
    np.testing.assert_allclose(value, expected[:n], rtol=0, atol=3e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("op", ["uniform", "normal", "truncated_normal"])
def test_a_shorter_draw_is_the_start_of_a_longer_one(op: str, dtype: str) -> None:
    draw_op = getattr(rk, op)
    longest = draw_op(KEY, 3, 3 * 4 * philox.CHUNK_BLOCKS + 5, dtype)
    for n in (0, 1, 6, 2 * philox.CHUNK_BLOCKS, 4 * philox.CHUNK_BLOCKS + 1):
        np.testing.assert_array_equal(draw_op(KEY, 3, n, dtype), longest[:n])


def test_a_stream_can_be_entered_at_any_block() -> None:
    whole = rk.uniform(KEY, 0, 40_000)
    np.testing.assert_array_equal(rk.uniform(KEY, 9_000, 4_000), whole[36_000:])
    pairs = rk.normal(KEY, 0, 40_000, np.float64)
    np.testing.assert_array_equal(rk.normal(KEY, 9_000, 4_000, np.float64), pairs[18_000:22_000])


def test_moments_are_those_of_the_distributions() -> None:
    n = 400_000
    u, z, t = rk.uniform((5, 6), 0, n), rk.normal((5, 6), 0, n), rk.truncated_normal((5, 6), 0, n)
    sigma = 5 / math.sqrt(n)
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 1 / 2) < sigma and abs(u.var() - 1 / 12) < sigma
    assert abs(z.mean()) < sigma and abs(z.var() - 1) < 2 * sigma
    # Variance of a normal variable truncated at 2: 1 - 4 phi(2) / (2 Phi(2) - 1).
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    assert np.abs(t).max() < 2
    assert abs(t.var() - (1 - 4 * density / math.erf(math.sqrt(2)))) < 2 * sigma
    counts = np.bincount(rk.integers((5, 6), 0, n, 0, 8), minlength=8)
    assert np.abs(counts / n - 1 / 8).max() < sigma


def test_integers_reach_the_whole_range_of_their_dtype() -> None:
    words = philox.uniform_bits(KEY, 0, 8)
    full = rk.integers(KEY, 0, 8, -(2**31), 2**31)
    assert full.tolist() == [int(word) - 2**31 for word in words]
    wide = rk.integers(KEY, 0, 4, -(2**63), 2**63, np.int64)
    joined = words[0::2].astype(object) + words[1::2].astype(object) * 2**32
    assert wide.tolist() == [int(word) - 2**63 for word in joined]


@given(st.integers(0, 300), st.integers(0, 2**40))
@settings(max_examples=40, deadline=None)
def test_permutation_is_the_fisher_yates_shuffle_of_the_words(n: int, counter: int) -> None:
    words = reference_words(KEY, counter)
    expected = list(range(n))
    for i in range(n - 1):
        j = i + next(words) % (n - i)
        expected[i], expected[j] = expected[j], expected[i]
    value = rk.permutation(KEY, counter, n)
    assert value.tolist() == expected and value.dtype == np.int64


def test_permutation_across_chunks_holds_every_item_once() -> None:
    n = 3 * 4 * philox.CHUNK_BLOCKS + 2
    value = rk.permutation(KEY, 0, n)
    np.testing.assert_array_equal(np.sort(value), np.arange(n))


def test_categorical_skips_logits_that_are_not_finite() -> None:
    # tf.multinomial(..., 12, seed=2) under graph seed 1.
    logits = np.array([[0, -np.inf, 1, np.nan], [np.inf, 0, 0, 0], [700, 710, 800, -800]])
    expected = [
        [0, 2, 2, 0, 2, 2, 2, 2, 2, 2, 0, 2],
        [2, 2, 3, 3, 3, 3, 2, 3, 2, 3, 1, 1],
        [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2],
    ]
    assert rk.categorical((1, 2), 0, logits, 12).tolist() == expected


def test_categorical_gives_the_same_on_both_search_paths() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 9))
    value = rk.categorical(KEY, 7, logits, 30)
    u = rk.uniform(KEY, 7, 200 * 30, np.float64).reshape(200, 30)
    cdf = np.cumsum(np.exp(logits - logits.max(1, keepdims=True)), axis=1)
    for row in range(200):
        inverse = np.searchsorted(cdf[row], u[row] * cdf[row, -1], side="right")
        np.testing.assert_array_equal(value[row], inverse)
    assert rk.categorical(KEY, 0, np.zeros((0, 3)), 4).shape == (0, 4)
    assert rk.categorical(KEY, 0, np.zeros((2, 3)), 0).shape == (2, 0)


def test_reservations_count_blocks() -> None:
    assert [rk.blocks_reserved(n) for n in (0, 1, 7)] == [0, 256, 1792]
    assert [rk.permutation_blocks_reserved(n) for n in (0, 1, 2, 5, 6, 10)] == [0, 0, 1, 1, 2, 3]
    assert [rk.categorical_blocks_reserved(2, s) for s in (0, 1, 4, 5)] == [0, 4096, 4096, 8192]


# tf.get_seed in TensorFlow 2.15, graph mode: (graph seed, op seed) and the result.
TENSORFLOW_SEEDS = [
    (None, 5, (87654321, 5)),
    (None, 0, (87654321, 0)),
    (3, 5, (3, 5)),
    (0, 0, (0, 2147483647)),
    (1, 0, (1, 0)),
    (2**31 - 1, 2**31 - 1, (0, 2147483647)),
    (2**40, -3, (512, 2147483644)),
    (-1, 2**31, (2147483646, 1)),
]


@pytest.mark.parametrize(("graph_seed", "op_seed", "key"), TENSORFLOW_SEEDS)
def test_keys_from_seeds(graph_seed: int | None, op_seed: int, key: philox.Key) -> None:
    assert philox.key_from_seeds(graph_seed, op_seed) == key


def test_a_graph_seed_alone_needs_a_position() -> None:
    assert philox.key_from_seeds(3, None, 1) == (3, 1)
    with pytest.raises(ArgumentError, match="position="):
        philox.key_from_seeds(3, None)
    with pytest.raises(ArgumentError, match="got neither"):
        philox.key_from_seeds(None, None, 4)


def test_numpy_integers_serve_as_key_counter_and_size() -> None:
    key = (np.uint64(2**64 - 1), np.int64(-1))
    value = rk.normal(key, np.uint64(2**64 - 1), np.int32(9))  # type: ignore[arg-type]
    np.testing.assert_array_equal(value, rk.normal((-1, 2**64 - 1), 2**64 - 1, 9))


def test_bad_arguments_say_what_was_expected() -> None:
    for function in (rk.uniform, rk.normal, rk.truncated_normal):
        with pytest.raises(DTypeError, match="float16, float32, float64, got int32"):
            function(KEY, 0, 3, np.int32)
        with pytest.raises(DTypeError, match="expected a dtype"):
            function(KEY, 0, 3, "floaty")
        with pytest.raises(ArgumentError, match="0 or more, got -1"):
            function(KEY, 0, -1)
        with pytest.raises(ArgumentTypeError, match=r"got 2\.5 of type float"):
            function(KEY, 0, 2.5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=r"as high, got 5\.5"):
        rk.integers(KEY, 0, 3, 0, 5.5)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="int32, int64, got uint8"):
        rk.integers(KEY, 0, 3, 0, 5, np.uint8)
    with pytest.raises(ArgumentError, match="low < high, got low=5 and high=5"):
        rk.integers(KEY, 0, 3, 5, 5)
    with pytest.raises(ArgumentError, match="wider dtype"):
        rk.integers(KEY, 0, 3, 0, 2**31 + 1)
    with pytest.raises(ArgumentError, match="at most 2"):
        rk.permutation(KEY, 0, 2**32 + 1)
    with pytest.raises(ShapeError, match=r"got \[3\]"):
        rk.categorical(KEY, 0, np.zeros(3), 1)
    with pytest.raises(ShapeError, match="at least one class"):
        rk.categorical(KEY, 0, np.zeros((2, 0)), 1)
    with pytest.raises(DTypeError, match="real logits"):
        rk.categorical(KEY, 0, np.zeros((2, 2), complex), 1)
    with pytest.raises(ArgumentError, match="row 1 "):
        rk.categorical(KEY, 0, [[0.0, 1.0], [np.nan, -np.inf]], 1)
    with pytest.raises(ShapeError, match=r"shape \[..., 4\]"):
        philox.philox4x32(0, [1, 2, 3])
    with pytest.raises(DTypeError, match="integer counter words"):
        philox.philox4x32(0, [0.0, 1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match="split a larger counter"):
        philox.philox4x32(0, [2**32, 0, 0, 0])
