"""Every loss function has a module that computes the same, in both modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from minigrad.nn.functional.losses import (
    binary,
    cross_entropy,
    ctc,
    divergences,
    likelihood,
    regression,
    similarity,
)

RNG = np.random.default_rng(0)
P, T = RNG.normal(size=(2, 4, 3))
UNIT = RNG.uniform(0.1, 0.9, size=(4, 3))
YES = (RNG.uniform(size=(4, 3)) > 0.5).astype(np.float64)
SIGNS = 2 * YES - 1
LABELS = np.array([0, 2, 1, 2])
MASK = np.array([1.0, 0.0, 2.0, 1.0])
LOGS = np.log(UNIT)

#: Module, function, tensors, options of both.
PAIRS: list[tuple[type[nn.Module], Any, tuple[Any, ...], dict[str, Any]]] = [
    (nn.MSELoss, nn.mse_loss, (P, T), {}),
    (nn.L1Loss, nn.mae_loss, (P, T), {}),
    (nn.HuberLoss, nn.huber_loss, (P, T), {"delta": 0.5}),
    (nn.SmoothL1Loss, nn.smooth_l1_loss, (P, T), {"beta": 0.5}),
    (nn.LogCoshLoss, nn.log_cosh_loss, (P, T), {}),
    (nn.BCELoss, nn.binary_cross_entropy, (UNIT, YES), {}),
    (nn.BCEWithLogitsLoss, nn.binary_cross_entropy_with_logits, (P, YES), {}),
    (
        nn.BCEWithLogitsLoss,
        nn.binary_cross_entropy_with_logits,
        (P, YES),
        {"pos_weight": np.array([1.0, 2.0, 3.0])},
    ),
    (nn.HingeLoss, nn.hinge_loss, (P, SIGNS), {}),
    (nn.SquaredHingeLoss, nn.squared_hinge_loss, (P, SIGNS), {}),
    (nn.KLDivLoss, nn.kl_divergence, (LOGS, UNIT), {}),
    (nn.KLDivLoss, nn.kl_divergence, (LOGS, LOGS[::-1].copy()), {"log_target": True}),
    (nn.PoissonNLLLoss, nn.poisson_nll_loss, (P, T**2), {"full": True}),
    (nn.PoissonNLLLoss, nn.poisson_nll_loss, (UNIT, T**2), {"log_input": False, "epsilon": 0.1}),
    (nn.GaussianNLLLoss, nn.gaussian_nll_loss, (P, T, UNIT), {"full": True, "epsilon": 0.01}),
    (nn.CrossEntropyLoss, nn.cross_entropy, (P, LABELS), {"label_smoothing": 0.1}),
    (nn.CrossEntropyLoss, nn.cross_entropy, (P.T.copy(), LABELS), {"axis": 0}),
    (
        nn.CrossEntropyLoss,
        nn.cross_entropy,
        (P, LABELS),
        {"weight": np.array([1.0, 2.0, 0.5]), "ignore_index": 1},
    ),
    (nn.NLLLoss, nn.nll_loss, (LOGS, LABELS), {"weight": np.array([1.0, 2.0, 0.5])}),
    (
        nn.CosineEmbeddingLoss,
        nn.cosine_embedding_loss,
        (P, T, np.array([1, -1, 1, -1])),
        {"margin": 0.1},
    ),
    (nn.TripletMarginLoss, nn.triplet_margin_loss, (P, T, UNIT), {"margin": 2.0, "swap": True}),
    (nn.TripletMarginLoss, nn.triplet_margin_loss, (P, T, UNIT), {"p": 1.0, "epsilon": 0.1}),
]


def test_no_loss_function_lacks_a_module() -> None:
    families = (
        *(binary, cross_entropy, ctc, divergences, likelihood),
        *(regression, similarity),
    )
    offered = {getattr(family, name) for family in families for name in family.__all__}
    covered = {function for _, function, _, _ in PAIRS} | {nn.ctc_loss, nn.cosine_similarity}
    # With reduction="none" these are cross_entropy and binary_cross_entropy_with_logits.
    assert offered - covered == {nn.softmax_cross_entropy, nn.sigmoid_cross_entropy}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("make", "function", "tensors", "options"), PAIRS)
def test_a_module_computes_its_function(
    make: type[nn.Module],
    function: Any,
    tensors: tuple[Any, ...],
    options: dict[str, Any],
    reduction: str,
) -> None:
    module = make(reduction=reduction, **options)
    expected = np.asarray(function(*tensors, reduction=reduction, **options))
    assert expected.shape == () or reduction == "none"
    assert_array_equal(np.asarray(module(*tensors)), expected)
    with mg.Graph().as_default(), mg.Session() as session:
        shapes = [(None, *a.shape[1:]) for a in tensors]
        if "axis" in options:
            shapes[0] = (3, None)
        inputs = [mg.placeholder(a.dtype, s) for a, s in zip(tensors, shapes, strict=True)]
        loss = module(*inputs)
        got = session.run(loss, dict(zip(inputs, tensors, strict=True)))
        assert_allclose(got, expected, rtol=1e-14, atol=1e-16)
    assert f"reduction={reduction!r}" in repr(module)


@pytest.mark.parametrize(("make", "function", "tensors", "options"), PAIRS)
def test_a_mask_leaves_examples_out(
    make: type[nn.Module], function: Any, tensors: tuple[Any, ...], options: dict[str, Any]
) -> None:
    got = make(**options)(*tensors, mask=MASK)
    assert_array_equal(np.asarray(got), np.asarray(function(*tensors, mask=MASK, **options)))
    # 0 leaves an example out, 2 counts it twice: as if the data said so.
    if "axis" in options or (make is nn.BCEWithLogitsLoss and options):
        return
    repeated = [np.asarray(a)[[0, 2, 2, 3]] for a in tensors]
    assert_allclose(np.asarray(got), np.asarray(make(**options)(*repeated)), rtol=1e-13)


def test_ctc() -> None:
    logits = RNG.normal(size=(2, 5, 3))
    rest = (np.array([[1, 2], [2, 0]]), np.array([5, 4]), np.array([2, 1]))
    for reduction in ("mean", "sum", "none"):
        module = nn.CTCLoss(reduction=reduction, zero_infinity=True)  # type: ignore[arg-type]
        expected = np.asarray(nn.ctc_loss(logits, *rest, reduction=reduction))
        assert_array_equal(np.asarray(module(logits, *rest)), expected)
        with mg.Graph().as_default(), mg.Session() as session:
            x = mg.placeholder("float64", (None, None, 3))
            assert_allclose(session.run(module(x, *rest), {x: logits}), expected, rtol=1e-13)


def test_batchmean_and_cosines() -> None:
    got = nn.KLDivLoss(reduction="batchmean")(LOGS, UNIT)
    assert_array_equal(
        np.asarray(got), np.asarray(nn.kl_divergence(LOGS, UNIT, reduction="batchmean"))
    )
    cosines = (P * T).sum(0) / np.linalg.norm(P, axis=0) / np.linalg.norm(T, axis=0)
    assert_allclose(nn.CosineSimilarity(axis=0)(P, T).numpy(), cosines, rtol=1e-14)
    assert repr(nn.CosineSimilarity()) == "CosineSimilarity(axis=-1, epsilon=1e-08)"


@pytest.mark.parametrize(
    "make", sorted({m for m, *_ in PAIRS} | {nn.CTCLoss}, key=lambda m: m.__name__)
)
def test_an_unknown_reduction_is_refused_when_the_module_is_made(make: type[nn.Module]) -> None:
    with pytest.raises(ArgumentError, match=r"'mean', 'sum' or 'none'.*got 'avg'"):
        make(reduction="avg")


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="batchmean"):
        nn.MSELoss(reduction="batchmean")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="HuberLoss: delta must be positive"):
        nn.HuberLoss(0.0)
    with pytest.raises(ArgumentError, match="SmoothL1Loss: beta"):
        nn.SmoothL1Loss(-1.0)
    with pytest.raises(ArgumentError, match=r"label_smoothing must lie in \[0, 1\]"):
        nn.CrossEntropyLoss(label_smoothing=2.0)
    with pytest.raises(ArgumentError, match="TripletMarginLoss: margin"):
        nn.TripletMarginLoss(margin=0.0)
    with pytest.raises(ArgumentError, match="TripletMarginLoss: p must be positive, got -1"):
        nn.TripletMarginLoss(p=-1)
    with pytest.raises(ArgumentError, match="GaussianNLLLoss: epsilon"):
        nn.GaussianNLLLoss(epsilon=0.0)
    with pytest.raises(ShapeError, match=r"\(4, 3\) and \(3, 4\)"):
        nn.MSELoss()(P, T.T)
    with pytest.raises(IndexOutOfRangeError, match=r"label 3 .* 3 classes"):
        nn.CrossEntropyLoss()(P, LABELS + 1)
