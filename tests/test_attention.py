"""Attention: numbers worked out by hand, masks, nothing to attend to, encodings of positions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError


def reference(q, k, v, mask=None):
    """The definition, in NumPy, for boolean masks with something to see in every row."""
    logits = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        logits = np.where(mask, logits, -np.inf)
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True) @ v


def operands(*leading, queries=3, keys=4, depth=5, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(*leading, queries, depth)),
        rng.normal(size=(*leading, keys, depth)),
        rng.normal(size=(*leading, keys, 2)),
    )


def test_attention_by_hand() -> None:
    # The products are 0 and 2·ln 3; divided by sqrt(4), the weights are 1 : 3.
    q = np.array([[1.0, 0.0, 0.0, 0.0]])
    k = np.array([[0.0, 1.0, 1.0, 1.0], [2 * np.log(3.0), 5.0, 5.0, 5.0]])
    assert_allclose(nn.attention_weights(q, k).numpy(), [[0.25, 0.75]], rtol=1e-14)
    y = nn.scaled_dot_product_attention(q, k, np.array([[4.0, 8.0], [0.0, 4.0]]))
    assert_allclose(y.numpy(), [[1.0, 5.0]], rtol=1e-14)
    doubled = nn.attention_weights(q, k, scale=1.0)  # Not divided: 1 : 9.
    assert_allclose(doubled.numpy(), [[0.1, 0.9]], rtol=1e-14)


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_values_agree_with_the_definition(leading) -> None:
    q, k, v = operands(*leading)
    y = nn.scaled_dot_product_attention(q, k, v)
    assert_allclose(y.numpy(), reference(q, k, v), rtol=1e-12)
    mask = np.random.default_rng(1).uniform(size=(3, 4)) < 0.5
    mask[:, 0] = True
    y = nn.scaled_dot_product_attention(q, k, v, mask=mask)
    assert_allclose(y.numpy(), reference(q, k, v, mask), rtol=1e-12)
    added = nn.scaled_dot_product_attention(q, k, v, mask=np.where(mask, 0.0, -np.inf))
    assert_allclose(added.numpy(), y.numpy(), rtol=1e-14)
    causal = nn.scaled_dot_product_attention(q, k, v, mask=mask, causal=True)
    assert_allclose(causal.numpy(), reference(q, k, v, mask & np.tri(3, 4, dtype=bool)), rtol=1e-12)


def test_keys_and_values_may_be_shared_by_heads() -> None:
    q, _, _ = operands(2, 3)
    _, k, v = operands(2, 1, seed=1)
    assert_allclose(
        nn.scaled_dot_product_attention(q, k, v).numpy(), reference(q, k, v), rtol=1e-12
    )


def test_no_query_sees_what_comes_after_it() -> None:
    q, k, v = operands(queries=4)
    before = nn.scaled_dot_product_attention(q, k, v, causal=True).numpy()
    k[2:], v[2:] = 100.0, -7.0
    after = nn.scaled_dot_product_attention(q, k, v, causal=True).numpy()
    assert (before[:2] == after[:2]).all()
    assert (before[2:] != after[2:]).any()
    assert_allclose(before[0], v[0], rtol=1e-15)


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_queries_with_nothing_to_attend_to_give_zeros(additive, causal) -> None:
    q, k, v = operands(2)
    # In a causal row 0 only key 0 would be left, and the mask hides it.
    mask = np.array([[False, True, True, True], [False] * 4, [True] * 4])
    empty = [0, 1] if causal else [1]
    given = np.where(mask, 0.0, -np.inf) if additive else mask

    def f(q, k, v):
        return nn.scaled_dot_product_attention(q, k, v, mask=given, causal=causal)

    y = f(q, k, v).numpy()
    assert (y[:, empty] == 0).all()
    full = mask & np.tri(3, 4, dtype=bool) if causal else mask
    kept = [i for i in range(3) if i not in empty]
    expected = reference(q[:, kept], k, v, full[kept])
    assert_allclose(y[:, kept], expected, rtol=1e-12)
    slopes = mg.grad(lambda *x: mg.sum(f(*x) ** 2), argnums=(0, 1, 2))(q, k, v)
    assert all(np.isfinite(s.numpy()).all() for s in slopes)
    assert (slopes[0].numpy()[:, empty] == 0).all()
    second = mg.grad(lambda x: mg.sum(mg.grad(lambda z: mg.sum(f(z, k, v) ** 2))(x) ** 2))(q)
    assert np.isfinite(second.numpy()).all()


def test_no_keys_at_all_give_zeros() -> None:
    q, k, v = operands(keys=0)
    assert nn.scaled_dot_product_attention(q, k, v).numpy().tolist() == [[0.0, 0.0]] * 3


def test_large_logits_do_not_overflow() -> None:
    q, k, v = operands()
    y = nn.scaled_dot_product_attention(1e4 * q, 1e4 * k, v).numpy()
    assert_allclose(y, v[(q @ k.T).argmax(axis=1)], rtol=1e-12)
    slope = mg.grad(lambda x: mg.sum(nn.scaled_dot_product_attention(x, 1e4 * k, v)))(1e4 * q)
    assert np.isfinite(slope.numpy()).all()


def test_a_bias_is_learnt_through_the_mask() -> None:
    q, k, v = operands()
    zero = np.zeros((3, 4))
    slope = mg.grad(lambda b: mg.sum(nn.scaled_dot_product_attention(q, k, v, mask=b)))(zero)
    weights = nn.attention_weights(q, k).numpy()
    total = v.sum(axis=1)
    assert_allclose(slope.numpy(), weights * (total - weights @ total[:, None]), rtol=1e-10)


def test_dropout_acts_on_the_weights_in_training_only() -> None:
    q, k, v = operands(queries=50, keys=20)
    plain = nn.scaled_dot_product_attention(q, k, v, dropout_rate=0.5).numpy()
    assert_allclose(plain, reference(q, k, v), rtol=1e-12)
    y = nn.scaled_dot_product_attention(q, k, v, dropout_rate=0.5, training=True, seed=3).numpy()
    mask = nn.dropout(np.ones((50, 20)), 0.5, seed=3).numpy()
    assert_allclose(y, nn.attention_weights(q, k).numpy() * mask @ v, rtol=1e-12)


def test_masks_by_hand() -> None:
    assert nn.causal_mask(2, 3).tolist() == [[True, False, False], [True, True, False]]
    assert nn.causal_mask(2, 3, offset=1).tolist() == [[True, True, False], [True, True, True]]
    assert nn.length_mask([0, 2], 3).tolist() == [[False] * 3, [True, True, False]]
    assert nn.length_mask(np.array([[1], [2]], np.int8)).tolist() == [[[True, False]], [[True] * 2]]


def test_padding_does_not_matter_and_nothing_is_known_until_the_run() -> None:
    q, k, v = operands(3, 2, queries=4)
    lengths = np.array([4, 1, 0])
    with mg.Graph().as_default():
        queries, keys, values = (mg.placeholder("float64") for _ in range(3))
        counts = mg.placeholder("int64", (None,))
        mask = nn.length_mask(counts, mg.shape(keys)[-2])[:, None, None, :]
        y = nn.scaled_dot_product_attention(queries, keys, values, mask=mask, causal=True)
        slopes = mg.gradients(mg.sum(y * y), [queries, keys, values])
        feed = {queries: q, keys: k, values: v, counts: lengths}
        with mg.Session() as session:
            got, *got_slopes = session.run([y, *slopes], feed)
            with pytest.raises(ShapeError, match="do not multiply"):
                session.run(y, feed | {keys: k[..., :3]})
            with pytest.raises(ShapeError, match="broadcast"):
                session.run(y, feed | {counts: np.array([1, 2])})
    assert_allclose(got[0], reference(q[0], k[0], v[0], np.tri(4, dtype=bool)), rtol=1e-12)
    assert_allclose(got[1], np.broadcast_to(v[1, :, :1], got[1].shape), rtol=1e-12)
    assert (got[2] == 0).all()

    def loss(q, k, v):
        mask = nn.length_mask(lengths, 4)[:, None, None, :]
        return mg.sum(nn.scaled_dot_product_attention(q, k, v, mask=mask, causal=True) ** 2)

    for a, b in zip(mg.grad(loss, argnums=(0, 1, 2))(q, k, v), got_slopes, strict=True):
        assert_allclose(a.numpy(), b, rtol=1e-10, atol=1e-14)


def test_dtypes() -> None:
    for dtype in ("float16", "float32", "float64"):
        q, k, v = (a.astype(dtype) for a in operands())
        bias = np.zeros((3, 4))
        for mask in (None, bias == 0, bias):
            y = nn.scaled_dot_product_attention(q, k, v, mask=mask, causal=True)
            assert y.dtype is mg.as_dtype(dtype)


def test_sinusoidal_positions_by_hand() -> None:
    table = nn.sinusoidal_positions(3, 5, base=100.0, dtype="float64").numpy()
    for p in range(3):
        angles = [p, p / 100.0 ** (2 / 5), p / 100.0 ** (4 / 5)]
        expected = [f(a) for a in angles for f in (np.sin, np.cos)][:5]
        assert_allclose(table[p], expected, rtol=1e-14)
    # Late positions are as exact as early ones.
    late = nn.sinusoidal_positions(100_001, 2)[-1].numpy()
    assert_allclose(late, [np.sin(1e5), np.cos(1e5)], rtol=1e-6)
    with mg.Graph().as_default():
        length = mg.placeholder("int32", ())
        made = nn.sinusoidal_positions(length, 4)
        assert made.shape == (None, 4)
        with mg.Session() as session:
            values = session.run(made, {length: 2})
    assert values.tolist() == nn.sinusoidal_positions(2, 4).tolist()


def test_rotary_products_depend_on_distances_only() -> None:
    rng = np.random.default_rng(3)
    q, k = rng.normal(size=6), rng.normal(size=6)
    for interleaved in (True, False):

        def product(m, n, interleaved=interleaved):
            turned = [
                nn.rotary_embedding(x[None], np.array([p]), base=50.0, interleaved=interleaved)
                for x, p in ((q, m), (k, n))
            ]
            return float(mg.sum(turned[0] * turned[1]))

        assert product(7, 3) == pytest.approx(product(104, 100), rel=1e-10)
        assert product(7, 3) != pytest.approx(product(7, 4), rel=1e-3)
        assert product(5, 5) == pytest.approx(q @ k, rel=1e-12)


def test_rotary_embedding_by_hand() -> None:
    x = np.array([[1.0, 2.0, 3.0, 4.0]] * 2)
    c, s, d, t = np.cos(1), np.sin(1), np.cos(0.1), np.sin(0.1)
    y = nn.rotary_embedding(x, base=100.0).numpy()
    assert_allclose(y[0], x[0])
    assert_allclose(y[1], [c - 2 * s, s + 2 * c, 3 * d - 4 * t, 3 * t + 4 * d], rtol=1e-14)
    halves = nn.rotary_embedding(x, base=100.0, interleaved=False).numpy()
    assert_allclose(halves[1], [c - 3 * s, 2 * d - 4 * t, s + 3 * c, 2 * t + 4 * d], rtol=1e-14)
    assert_allclose(nn.rotary_embedding(y, base=100.0, inverse=True).numpy(), x, rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda q, k, v: nn.attention_weights(q, v),
            ShapeError,
            r"same depth .*\(3, 5\) .*\(4, 2\)",
        ),
        (lambda q, k, v: nn.attention_weights(q[0], k), ShapeError, r"query must .*\(5,\)"),
        (
            lambda q, k, v: nn.scaled_dot_product_attention(q, k, v[1:]),
            ShapeError,
            r"key and value must have the same length",
        ),
        (
            lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, mask=np.ones((2, 4), bool)),
            ShapeError,
            r"mask of shape \(2, 4\) does not broadcast to shape \(3, 4\)",
        ),
        (
            lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, mask=np.ones((3, 4), int)),
            DTypeError,
            "True: may attend",
        ),
        (
            lambda q, k, v: nn.scaled_dot_product_attention(
                q, k, v, dropout_rate=-1, training=True
            ),
            ArgumentError,
            "between 0 and 1",
        ),
        (lambda q, k, v: nn.causal_mask(1.5), ArgumentTypeError, "integers, got dtype"),
        (lambda q, k, v: nn.length_mask([0.5]), ArgumentTypeError, "integers, got dtype"),
        (lambda q, k, v: nn.rotary_embedding(q), ShapeError, "even depth"),
        (lambda q, k, v: nn.sinusoidal_positions(2, 0), ArgumentError, "depth must be at least 1"),
    ],
)
def test_bad_arguments_are_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(*operands())
