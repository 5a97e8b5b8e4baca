"""Recurrent layers over sequences, one above the other and in both directions."""

from __future__ import annotations

import warnings
from typing import Any

from minigrad.control_flow.scans import scan
from minigrad.core.bind import tensor_of
from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.nn.functional.noise.dropout import dropout
from minigrad.nn.functional.noise.masks import rate_argument
from minigrad.nn.functional.recurrent.parts import valid_steps
from minigrad.nn.functional.sizes import sizes_of
from minigrad.nn.modules.base.arguments import check_size, open_size_argument, size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.nn.modules.recurrent.weights import (
    RecurrentWeights,
    Rule,
    States,
    blank,
)
from minigrad.ops.basic import astype
from minigrad.ops.broadcasting import broadcast_to
from minigrad.ops.joining import concat
from minigrad.ops.manipulation import permute_dims
from minigrad.ops.selection import where
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.stacking import stack, unstack
from minigrad.shapes import compatible, show

__all__: list[str] = []


class RecurrentLayer(RecurrentWeights):
    """One layer in one direction, over the first axis of its input.

    Args:
        rule: the formula.
        input_size: features of the input, or None.
        hidden_size: size of the state.
        reverse: whether it goes from the last step to the first.
        options: those of `RecurrentWeights`.
    """

    def __init__(
        self, rule: Rule, input_size: int | None, hidden_size: int, *, reverse: bool, **options: Any
    ) -> None:
        super().__init__(rule, input_size, hidden_size, **options)
        self.reverse = reverse

    def forward(
        self, x: Tensor, start: States | None = None, valid: Tensor | None = None
    ) -> tuple[Tensor, States]:
        """Outputs at all steps, and the last state.

        Args:
            x: of shape ``(time, batch, input_size)``.
            start: the first state, each part ``(batch, hidden_size)``; zeros by default.
            valid: bools of shape ``(time, batch, 1)``: a sequence takes no step where it is
                False. So the backward direction begins where a sequence ends.
        """
        p = self.projected(x)
        if start is None:
            states = blank(sizes_of(x, slice(1, -1)), self.hidden_size, self.rule, p.dtype)
        else:
            states = tuple(astype(part, p.dtype) for part in start)
        recurrent, bias, rule = tensor_of(self.recurrent_weight), self.recurrent_bias, self.rule

        def step(before: States, slices: Any) -> tuple[States, Tensor]:
            if valid is None:
                after = rule.step(slices, before, recurrent, bias)
                return after, after[0]
            now, running = slices
            after = rule.step(now, before, recurrent, bias)
            kept = tuple(where(running, a, b) for a, b in zip(after, before, strict=True))
            return kept, kept[0]

        slices = p if valid is None else (p, valid)
        final, outputs = scan(step, states, slices, reverse=self.reverse)
        return (outputs if valid is None else where(valid, outputs, 0)), final

    def extra_repr(self) -> str:
        """The sizes and the direction."""
        return super().extra_repr() + (", reverse=True" if self.reverse else "")


class RecurrentStack(Module):
    """Layers, each over the outputs of the one before."""

    def __init__(
        self,
        rule: Rule,
        input_size: int | None,
        hidden_size: int,
        num_layers: int,
        *,
        batch_first: bool,
        dropout_rate: float,
        bidirectional: bool,
        seed: int | None,
        name: str | None,
        **options: Any,
    ) -> None:
        super().__init__(name=name)
        what = type(self).__name__
        inputs = open_size_argument(what, "input_size", input_size)
        self.hidden_size = size_argument(what, "hidden_size", hidden_size)
        self.num_layers = size_argument(what, "num_layers", num_layers)
        self.batch_first = bool(batch_first)
        self.bidirectional = bool(bidirectional)
        self.dropout_rate = rate_argument(what, dropout_rate)
        self.rule = rule
        wide = self.hidden_size * (2 if bidirectional else 1)
        sizes = [inputs, *[wide] * (self.num_layers - 1)]
        directions = [False, True] if bidirectional else [False]
        made = [
            [
                RecurrentLayer(rule, n, self.hidden_size, reverse=way, **options)
                for way in directions
            ]
            for n in sizes
        ]
        self.layers = [layers[0] for layers in made]
        self.reverse_layers = [layers[1] for layers in made] if bidirectional else []
        drops = self.num_layers > 1 and self.dropout_rate != 0
        if self.num_layers == 1 and self.dropout_rate != 0:
            warnings.warn(
                f"{what}: dropout_rate acts between layers, and there is only one; put nn.Dropout "
                "after it",
                UserWarning,
                stacklevel=3,
            )
        self.generator = Generator(seed) if drops else None

    @property
    def input_size(self) -> int | None:
        """Features of the input; None while it is not known."""
        return self.layers[0].input_size

    def forward(
        self, x: TensorLike, initial_state: Any = None, *, lengths: TensorLike | None = None
    ) -> tuple[Tensor, Any]:
        """Outputs of the last layer at all steps, and the final state of all layers.

        Args:
            x: real, of shape ``(batch, time, input_size)``, or with ``batch_first=False``
                ``(time, batch, input_size)``.
            initial_state: ``(layers, batch, hidden_size)``, for an LSTM a pair of these; zeros by
                default. With two directions there are two entries for each layer, one after the
                other. A batch of 1 serves all sequences.
            lengths: integers, one for each sequence: how many of its steps count.

        Returns:
            ``(outputs, state)``: outputs of shape ``(batch, time, hidden_size)`` (twice as wide
            with two directions; time first if the input is so), and the state in the form of
            `initial_state`.
        """
        what, given = type(self).__name__, tensor_of(x)
        order = "batch, time" if self.batch_first else "time, batch"
        if given.shape is None or len(given.shape) != 3:
            hint = "; state its rank with mg.ensure_shape" if given.shape is None else ""
            raise ShapeError(
                f"{what}: the input must have shape ({order}, features), got "
                f"{show(given.shape)}{hint}"
            )
        check_size(what, "input_size", given, self.input_size)
        current = permute_dims(given, (1, 0, 2)) if self.batch_first else given
        valid = None
        if lengths is not None:
            valid = valid_steps(lengths, shape_of(current))
            # What stands behind the end of a sequence, be it NaN, reaches no sum and no gradient.
            current = where(valid, current, 0)
        starts = self._starts(initial_state, current)
        finals: list[States] = []
        for index, layer in enumerate(self.layers):
            if index and self.generator is not None:
                rate, training = self.dropout_rate, self.training
                current = dropout(current, rate, training=training, generator=self.generator)
            directions = [layer, *self.reverse_layers[index : index + 1]]
            made = []
            for direction in directions:
                outputs, final = direction(current, starts[len(finals)], valid)
                made.append(outputs)
                finals.append(final)
            current = made[0] if len(made) == 1 else concat(made, axis=-1)
        state = self.rule.pack(tuple(stack(parts) for parts in zip(*finals, strict=True)))
        return (permute_dims(current, (1, 0, 2)) if self.batch_first else current), state

    def _starts(self, initial: Any, x: Tensor) -> list[States | None]:
        """The first state of each layer and direction, in the order of the final ones."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        if initial is None:
            return [None] * count
        what = type(self).__name__
        batch = None if x.shape is None else x.shape[1]
        columns = []
        for name, part in zip(
            self.rule.parts, self.rule.unpack(what, "initial_state", initial), strict=True
        ):
            wanted = (count, batch, self.hidden_size)
            shared = (count, 1, self.hidden_size)
            if not compatible(part.shape, wanted) and not compatible(part.shape, shared):
                raise ShapeError(
                    f"{what}: {name} of initial_state must have shape {show(wanted)} (layers and "
                    f"directions, batch, hidden), got {show(part.shape)}"
                )
            sizes = [count, *sizes_of(x, slice(1, 2)), self.hidden_size]
            full = part if part.shape == wanted and batch is not None else broadcast_to(part, sizes)
            columns.append(unstack(full, axis=0, num=count))
        return list(zip(*columns, strict=True))

    def extra_repr(self) -> str:
        """The sizes, and what is not usual."""
        inputs = "?" if self.input_size is None else self.input_size
        text = f"input_size={inputs}, hidden_size={self.hidden_size}"
        text += f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        text += ", bidirectional=True" if self.bidirectional else ""
        text += f", dropout_rate={self.dropout_rate}" if self.dropout_rate else ""
        return text if self.batch_first else text + ", batch_first=False"
