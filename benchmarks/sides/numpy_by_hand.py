"""NumPy, with the backward passes written by hand: what the arithmetic takes by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import references
from benchmarks.sides.base import Case, Side, gradient_case, training_case
from benchmarks.workloads import Array, Values

Formula = Callable[..., tuple[Any, list[Array]]]


class NumpyByHand(Side):
    """The references in float32."""

    variants = ("by hand",)

    def version(self) -> str:
        return np.__version__

    def elementwise_chain(self, values: Values, variant: str) -> Case:
        return gradient_case(lambda: references.elementwise_chain(*values))

    def classifier(self, values: Values, variant: str) -> Case:
        return _training(references.classifier, values)

    def gelu(self, values: Values, variant: str) -> Case:
        return gradient_case(lambda: references.gelu(*values))

    def cross_entropy(self, values: Values, variant: str) -> Case:
        return gradient_case(lambda: references.cross_entropy(*values))

    def lenet(self, values: Values, variant: str) -> Case:
        return _training(references.lenet, values)

    def lstm(self, values: Values, variant: str) -> Case:
        return gradient_case(lambda: references.lstm(*values))

    def transformer_block(self, values: Values, variant: str) -> Case:
        return gradient_case(lambda: references.transformer_block(*values))


def _training(formula: Formula, values: Values) -> Case:
    parameters, labels = values.parameters, values.batch_labels()
    adam = references.Adam(parameters)

    def step_on(i: int) -> Any:
        loss, gradients = formula(parameters, values.x[i], labels[i])
        adam.apply(gradients)
        return loss

    def first_gradients() -> list[Array]:
        return formula(parameters, values.x[0], labels[0])[1]

    return training_case(step_on, first_gradients, len(values.x))


side = NumpyByHand
