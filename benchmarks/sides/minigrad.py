"""minigrad: graphs run by `make_callable` and `Session.run`, and `mg.function`.

In the first two, what a user would feed is fed in every call, as NumPy arrays. "held" is
`make_callable` without feeds: the data are variables, as the peers hold them. "function" is the
same code as "eager", compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

import minigrad as mg
from benchmarks.references import HEADS, LENGTH, RATE
from benchmarks.sides.base import (
    ADDS_SIZE,
    ADDS_SUMMAND,
    Adds,
    Case,
    Options,
    Side,
    gradient_case,
    training_case,
)
from benchmarks.workloads import Array, Values
from minigrad import nn, optim

GRAPH = ("make_callable", "run", "held")
EAGER = ("function", "eager") if hasattr(mg, "function") else ("eager",)


class Loss(NamedTuple):
    """A loss with its parameters, made in a graph or in eager code.

    Attributes:
        of: from the inputs to the loss.
        parameters: what it is differentiated for; empty to differentiate for the first input.
    """

    of: Callable[..., mg.Tensor]
    parameters: Sequence[mg.Variable] = ()


class Minigrad(Side):
    """minigrad; see the module."""

    variants = ("make_callable", *[v for v in EAGER if v != "eager"], "run", "held", "eager")
    slow = frozenset({"eager"})
    only_steps = frozenset({"run", "held"})
    longest_chain: ClassVar = {"make_callable": 100_000}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if hasattr(mg, "set_num_threads"):
            mg.set_num_threads(options.threads)

    def version(self) -> str:
        return mg.__version__

    def session(self) -> mg.Session:
        """A session of the default graph, with all variables initialized."""
        executor: Any = self.options.executor
        session = mg.Session() if executor is None else mg.Session(executor=executor)
        session.run(mg.global_variables_initializer())
        return session

    # -- workloads -------------------------------------------------------------------------

    def elementwise_chain(self, values: Values, variant: str) -> Case:
        def make() -> Loss:
            a, b = [mg.Variable(p, trainable=False) for p in values.parameters]

            def loss(x: Any) -> mg.Tensor:
                for i in range(LENGTH):
                    x = x * a if i % 3 == 0 else x + b if i % 3 == 1 else mg.tanh(x)
                return mg.sum(x)

            return Loss(loss)

        return self._gradients(make, [values.x], variant)

    def gelu(self, values: Values, variant: str) -> Case:
        def loss(x: Any) -> mg.Tensor:
            return mg.sum(mg.square(nn.gelu(x, approximate="tanh")))

        return self._gradients(lambda: Loss(loss), [values.x], variant)

    def cross_entropy(self, values: Values, variant: str) -> Case:
        inputs = [values.x, values.batch_labels()]
        return self._gradients(lambda: Loss(nn.cross_entropy), inputs, variant)

    def classifier(self, values: Values, variant: str) -> Case:
        def make() -> Loss:
            layers: list[nn.Module] = []
            for weight, bias in zip(values.parameters[::2], values.parameters[1::2], strict=True):
                layers += [_linear(weight, bias), nn.ReLU()]
            return _classifying(nn.Sequential(*layers[:-1]))

        return self._training(make, values, variant)

    def lenet(self, values: Values, variant: str) -> Case:
        def make() -> Loss:
            k1, b1, k2, b2, *dense = values.parameters
            network = nn.Sequential(
                *(_convolution(k1, b1), nn.ReLU(), nn.MaxPool2d(2)),
                *(_convolution(k2, b2), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Flatten(), _linear(*dense[:2]), nn.ReLU(), _linear(*dense[2:])),
            )
            return _classifying(network)

        return self._training(make, values, variant)

    def lstm(self, values: Values, variant: str) -> Case:
        def make() -> Loss:
            weight, recurrent, bias = values.parameters
            network = nn.LSTM(
                weight.shape[0],
                recurrent.shape[0],
                batch_first=False,
                weight_initializer=weight,
                recurrent_initializer=recurrent,
                bias_initializer=bias,
            )

            def loss(x: Any) -> mg.Tensor:
                _, (h, _c) = network(x)
                return mg.mean(mg.square(h))

            return Loss(loss, network.parameters())

        return self._gradients(make, [values.x], variant)

    def transformer_block(self, values: Values, variant: str) -> Case:
        def make() -> Loss:
            parameters = [mg.Variable(p) for p in values.parameters]
            return Loss(lambda x: mg.mean(mg.square(_block(x, *parameters))), parameters)

        return self._gradients(make, [values.x], variant)

    # -- ways to run -----------------------------------------------------------------------

    def _gradients(self, make: Callable[[], Loss], inputs: list[Array], variant: str) -> Case:
        """The loss and its gradients: for its parameters, or if there are none the first input."""
        if variant in EAGER:
            loss = make()
            given = [mg.asarray(value) for value in inputs]

            def step(*given: Any) -> Any:
                sources = list(loss.parameters or given[:1])
                with mg.GradientTape() as tape:
                    tape.watch(sources)
                    value = loss.of(*given)
                return value, tape.gradient(value, sources)

            call = _compiled(step) if variant == "function" else step
            return gradient_case(lambda: call(*given))
        with mg.Graph().as_default():
            loss = make()
            if variant == "held":
                held = [mg.Variable(value, trainable=False) for value in inputs]
                run = self._way(variant, *_fetches(loss, held), [])
                return gradient_case(run)
            fed = [mg.placeholder(value.dtype, value.shape) for value in inputs]
            run = self._way(variant, *_fetches(loss, fed), fed)
        return gradient_case(lambda: run(*inputs))

    def _training(self, make: Callable[[], Loss], values: Values, variant: str) -> Case:
        """Steps of Adam."""
        x, labels = values.x, values.batch_labels()
        if variant in EAGER:
            return self._training_in_eager_code(make(), x, labels, variant)
        with mg.Graph().as_default():
            loss = make()
            if variant == "held":
                number = mg.placeholder("int64", ())
                every = [mg.Variable(v, trainable=False) for v in (x, labels)]
                fed, batch = [number], [mg.gather(v, number) for v in every]
                batches: list[Any] = [[np.int64(i)] for i in range(len(x))]
            else:
                fed = batch = [mg.placeholder(v.dtype, v.shape[1:]) for v in (x, labels)]
                batches = list(zip(x, labels, strict=True))
            value = loss.of(*batch)
            gradients = mg.gradients(value, list(loss.parameters))
            step = optim.Adam(RATE).minimize(value)
            session = self.session()
            run = self._way(variant, value, [step], fed, session)

        def first_gradients() -> Any:
            return session.run(gradients, dict(zip(fed, batches[0], strict=True)))

        return training_case(lambda i: run(*batches[i])[0], first_gradients, len(x))

    def _training_in_eager_code(self, loss: Loss, x: Array, labels: Array, variant: str) -> Case:
        optimizer, parameters = optim.Adam(RATE), list(loss.parameters)
        batches = [(mg.asarray(a), mg.asarray(b)) for a, b in zip(x, labels, strict=True)]

        def value_and_gradients(*batch: Any) -> tuple[mg.Tensor, list[mg.Tensor]]:
            with mg.GradientTape() as tape:
                value = loss.of(*batch)
            return value, tape.gradient(value, parameters)

        def step(*batch: Any) -> mg.Tensor:
            value, gradients = value_and_gradients(*batch)
            optimizer.apply_gradients(zip(gradients, parameters, strict=True))
            return value

        optimizer.build(parameters)
        call = _compiled(step) if variant == "function" else step
        return training_case(
            lambda i: call(*batches[i]), lambda: value_and_gradients(*batches[0])[1], len(x)
        )

    def _way(
        self,
        variant: str,
        value: Any,
        others: list[Any],
        fed: list[mg.Tensor],
        session: mg.Session | None = None,
    ) -> Callable[..., Any]:
        """A function of what is fed, which returns the loss and the other fetches as a pair."""
        session = self.session() if session is None else session
        fetches = (value, others)
        if variant == "run":
            return lambda *given: session.run(fetches, dict(zip(fed, given, strict=True)))
        return session.make_callable(fetches, fed)

    # -- the chain of adds -----------------------------------------------------------------

    def warm_up(self) -> None:
        with mg.Graph().as_default():
            mg.Session().run(mg.constant(1.0) + 1.0)

    def adds(self, length: int, variant: str) -> Adds:
        with mg.Graph().as_default():
            x = mg.placeholder("float32", (ADDS_SIZE,))
            summand = mg.Variable(np.full(ADDS_SIZE, ADDS_SUMMAND, np.float32))
            h: Any = x
            for _ in range(length):
                h = h + summand
            total = mg.sum(h)
            (slope,) = mg.gradients(total, [x])
            run = self._way(variant, total, [slope], [x])
        ones = np.ones(ADDS_SIZE, np.float32)
        value, (gradient,) = run(ones)
        return Adds(lambda: run(ones), float(value), gradient)


def _compiled(step: Callable[..., Any]) -> Callable[..., Any]:
    made: Callable[..., Any] = mg.function(step)
    return made


def _fetches(loss: Loss, inputs: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The loss, and its gradients."""
    value = loss.of(*inputs)
    return value, mg.gradients(value, list(loss.parameters or inputs[:1]))


def _linear(weight: Array, bias: Array) -> nn.Linear:
    return nn.Linear(*weight.shape, weight_initializer=weight, bias_initializer=bias)


def _convolution(kernel: Array, bias: Array) -> nn.Conv2d:
    height, width, inputs, outputs = kernel.shape
    return nn.Conv2d(
        inputs,
        outputs,
        (height, width),
        padding="SAME",
        weight_initializer=kernel,
        bias_initializer=bias,
    )


def _classifying(network: nn.Module) -> Loss:
    return Loss(lambda x, labels: nn.cross_entropy(network(x), labels), network.parameters())


def _block(x: Any, *parameters: Any) -> mg.Tensor:
    """A transformer block of functions; see `benchmarks.references.transformer_block`."""
    s1, t1, w_qkv, b_qkv, w_out, b_out, s2, t2, w_up, b_up, w_down, b_down = parameters
    batch, length, width = x.shape
    heads = (batch, length, 3, HEADS, width // HEADS)
    split = mg.reshape(nn.layer_norm(x, s1, t1) @ w_qkv + b_qkv, heads)
    q, k, v = mg.unstack(mg.permute_dims(split, (2, 0, 3, 1, 4)))
    mixed = mg.permute_dims(nn.scaled_dot_product_attention(q, k, v), (0, 2, 1, 3))
    x = x + mg.reshape(mixed, (batch, length, width)) @ w_out + b_out
    inner = nn.gelu(nn.layer_norm(x, s2, t2) @ w_up + b_up, approximate="tanh")
    y: mg.Tensor = x + inner @ w_down + b_down
    return y


side = Minigrad
