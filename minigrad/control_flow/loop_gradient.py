"""The gradient of a loop: another loop, which goes through the same positions the other way.

Each of its runs reads from the history what the loop's body was given in that position, computes
the body again, and walks back over it. It carries the gradients of the carried tensors, and the
sums of those of captured tensors; it collects the gradients of slices, and of captured tensors of
which only rows are read. The results of draws and other effects come from the history too, so that
nothing happens twice. What it is made of are ops, so it can be differentiated again, in time
proportional to the number of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.autodiff import backward, dense
from minigrad.control_flow.inlining import inline
from minigrad.control_flow.loop import loop, name_of
from minigrad.control_flow.loop_layout import Inputs, Layout, Outputs
from minigrad.core.body import Body
from minigrad.core.context import STATE
from minigrad.core.current_graph import name_scope
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operation import SymbolicTensor
from minigrad.core.rules import Ctx, Grads
from minigrad.core.tensor import Tensor
from minigrad.ops.basic import identity
from minigrad.ops.custom import with_gradient
from minigrad.ops.elementwise import add
from minigrad.ops.joining import concat
from minigrad.ops.manipulation import reshape
from minigrad.ops.shaping import shape, zeros_like
from minigrad.shapes import Spec


def flowing(body: Body, live: set[SymbolicTensor]) -> set[SymbolicTensor]:
    """The tensors of a body that depend on the given ones through differentiable dtypes."""
    found = set(live)
    for op in body.needed():
        if any(t in found for t in op.inputs):
            found.update(t for t in op.outputs if t.dtype.is_inexact)
    return found


class _Backward:
    """Builds the loop that is the gradient of a loop.

    Args:
        c: what the gradient rule of the loop is given.
    """

    def __init__(self, c: Ctx) -> None:
        self.layout = layout = Layout(**vars(c.attrs))
        self.input_count = len(c.inputs)
        self.inputs: Inputs = layout.split(c.inputs)
        self.outputs: Outputs = layout.outputs(c.outputs)
        self.upstream: Outputs = layout.outputs(c.grads)
        self.reached: Outputs = layout.outputs(c.reached)
        needs = [
            need and x is not None and x.dtype.is_inexact
            for need, x in zip(c.needs, c.inputs, strict=True)
        ]
        self.needs: Inputs = layout.split(needs)
        self.forward = layout.body
        self.split = len(layout.carries)
        self.body = Body(STATE.get().graph, "gradient")
        #: The sliced inputs of the new loop: its argument, the outer tensors, whether ragged.
        self.slices: list[tuple[SymbolicTensor, list[Tensor], bool]] = []
        self.live = self._live_carries()

    def _live_carries(self) -> list[int]:
        """The carried tensors through which gradients reach something that wants one."""
        body = self.forward
        arguments, captured = body.arguments, list(body.captured.values())
        slices = arguments[self.split :]
        sources = {t for t, need in zip(captured, self.needs.captured, strict=True) if need}
        sources |= {t for t, need in zip(slices, self.needs.slices, strict=True) if need[0]}
        live = {j for j, need in enumerate(self.needs.carries) if need}
        while True:
            found = flowing(body, sources | {arguments[j] for j in live})
            more = {j for j in range(self.split) if body.outputs[j] in found} | live
            if more == live:
                return sorted(live)
            live = more

    def slice(self, spec: Spec, name: str, tensors: list[Tensor], ragged: bool) -> SymbolicTensor:
        """An argument of the body that is a slice of outer tensors."""
        made = self.body.argument(Spec(spec.shape, spec.dtype), name)
        self.slices.append((made, tensors, ragged))
        return made

    def build(self) -> list[Tensor | IndexedSlices | None]:
        """Add the loop; the gradient for each input of the forward one."""
        forward, needs = self.forward, self.needs
        with name_scope("LoopGradient") as scope, self.body.building(scope):
            history, sliced, captured, given = self._given()
            carried = [self.body.argument(forward.arguments[j].spec, "carried") for j in self.live]
            start = len(self.body)
            values = inline(forward, [*history, *sliced, *captured], given)
            wanted_slices = [k for k, need in enumerate(needs.slices) if need[0]]
            wanted_captured = [k for k, need in enumerate(needs.captured) if need]
            sources = [
                *[history[j] for j in self.live],
                *[sliced[k] for k in wanted_slices],
                *[captured[k] for k in wanted_captured],
            ]
            seeds = self._seeds(values, carried)
            found = backward(self.body.get_operations()[start:], seeds, sources)
            after = [
                self._slope(j, later, history[j], found)
                for j, later in zip(self.live, carried, strict=True)
            ]
            sums, rows = self._captured_gradients(captured, wanted_captured, found)
            collected: list[tuple[Tensor, bool]] = [
                (
                    dense(found[sliced[k]]) if sliced[k] in found else zeros_like(sliced[k]),
                    self.layout.slices[k],
                )
                for k in wanted_slices
            ]
            for sparse in rows.values():
                ragged = not sparse.values.spec.known()
                collected += [(sparse.values, ragged), (sparse.indices, ragged)]
            outputs = (*after, *[g for _, g in sums.values()], *[t for t, _ in collected])
            self.body.close([self.body.bring(t) for t in outputs])  # type: ignore[arg-type]
        accumulators = [argument for argument, _ in sums.values()]
        return self._bind(carried, accumulators, list(sums), list(rows), wanted_slices, collected)

    def _given(
        self,
    ) -> tuple[
        list[SymbolicTensor], list[SymbolicTensor], list[Tensor], dict[SymbolicTensor, Tensor]
    ]:
        """What one run of the forward body was given: carried tensors, slices, captured, effects.

        The last are the results of its effects, by the tensors of the forward body.
        """
        forward, layout, split = self.forward, self.layout, self.split
        history = [
            self.slice(t.spec, name_of(t), tensors, ragged)
            for t, tensors, ragged in zip(
                forward.arguments, self.outputs.histories, layout.carries, strict=False
            )
        ]
        sliced = [
            self.slice(t.spec, name_of(t), tensors, ragged)
            for t, tensors, ragged in zip(
                forward.arguments[split:], self.inputs.slices, layout.slices, strict=True
            )
        ]
        given: dict[SymbolicTensor, Tensor] = {
            t: self.slice(t.spec, "effect", tensors, not t.spec.known())
            for t, tensors in zip(layout.effects, self.outputs.effects, strict=True)
        }
        captured: list[Tensor] = []
        stand_ins = list(forward.captured.values())
        for t, need, stand_in in zip(
            self.inputs.captured, self.needs.captured, stand_ins, strict=True
        ):
            # A node of its own where it is wanted, because another input may be the same tensor.
            own = identity(t) if need else t
            value = given.get(stand_in)
            if value is not None:
                # What earlier runs had assigned to the variable; its gradient is the variable's.
                own = with_gradient([own], [value], rule=lambda g: [g])[0] if need else value
            captured.append(own)
        return history, sliced, captured, given

    def _seeds(
        self, values: dict[SymbolicTensor, Tensor], carried: list[SymbolicTensor]
    ) -> list[tuple[Tensor, Tensor | IndexedSlices]]:
        """Where the walk back over one run begins: what it carried on, and its results."""
        outputs = self.forward.outputs
        seeds: list[tuple[Tensor, Tensor | IndexedSlices]] = [
            (values[outputs[j]], g) for j, g in zip(self.live, carried, strict=True)
        ]
        for i, reached in enumerate(self.reached.results):
            t = outputs[self.split + i]
            if reached[0] and t.dtype.is_inexact:
                tensors = [self.upstream.results[i][0], *self.outputs.results[i][1:]]
                g = self.slice(t.spec, "upstream", tensors, self.layout.results[i])
                seeds.append((values[t], g))
        return seeds

    def _slope(
        self, j: int, later: SymbolicTensor, history: SymbolicTensor, found: dict[Any, Any]
    ) -> Tensor:
        """The gradient of a carried tensor before a run, from `later`, the one after it."""
        changes = self.layout.carries[j]
        if history in found:
            slope = dense(found[history])
        else:
            slope = zeros_like(history if changes else later)
        if self.reached.histories[j][0]:
            # The history itself was read, by the gradient of a gradient.
            tensors = [self.upstream.histories[j][0], *self.outputs.histories[j][1:]]
            slope = add(slope, self.slice(history.spec, "upstream", tensors, changes))
        return slope

    def _captured_gradients(
        self, captured: Sequence[Tensor], wanted: Sequence[int], found: dict[Any, Any]
    ) -> tuple[dict[int, tuple[SymbolicTensor, Tensor]], dict[int, IndexedSlices]]:
        """What is summed up for captured tensors: an argument and its next value; or rows."""
        sums: dict[int, tuple[SymbolicTensor, Tensor]] = {}
        rows: dict[int, IndexedSlices] = {}
        for k in wanted:
            g = found.get(captured[k])
            if isinstance(g, IndexedSlices):
                rows[k] = g
            elif g is not None:
                spec = self.inputs.captured[k].spec
                argument = self.body.argument(Spec(spec.shape, spec.dtype), "sum")
                sums[k] = argument, add(argument, g)
        return sums, rows

    def _bind(
        self,
        carried: list[SymbolicTensor],
        accumulators: list[SymbolicTensor],
        summed: list[int],
        sparse: list[int],
        sliced: list[int],
        collected: list[tuple[Tensor, bool]],
    ) -> list[Tensor | IndexedSlices | None]:
        """Add the node, and put its outputs where the forward loop's inputs are."""
        body, layout = self.body, self.layout
        kept = set(body.drop_unused([t for t, _, _ in self.slices]))
        slices = [s for s in self.slices if s[0] in kept]
        body.arguments = [*carried, *accumulators, *[t for t, _, _ in slices]]
        starts = [self.upstream.carries[j] for j in self.live]
        starts += [zeros_like(self.inputs.captured[k]) for k in summed]
        changing = [layout.carries[j] for j in self.live] + [False] * len(summed)
        new: dict[str, Any] = {
            "cond": None,
            "body": body,
            "limited": True,
            "carries": tuple(changing),
            "slices": tuple([ragged for _, _, ragged in slices]),
            "results": tuple([ragged for _, ragged in collected]),
            "reverse": not layout.reverse,
        }
        made = loop(
            self.outputs.count,
            *starts,
            *[t for _, tensors, _ in slices for t in tensors],
            *body.captured,
            **new,
        )
        outputs = Layout(**new).outputs(made)
        gradients = self.layout.split([None] * self.input_count)
        for j, g in zip(self.live, outputs.carries, strict=False):
            if self.needs.carries[j]:
                gradients.carries[j] = g
        for k, g in zip(summed, outputs.carries[len(self.live) :], strict=True):
            gradients.captured[k] = g
        for k, group in zip(sliced, outputs.results, strict=False):
            gradients.slices[k][0] = group[0]
        rows = outputs.results[len(sliced) :]
        for place, k in enumerate(sparse):
            values, indices = rows[2 * place][0], rows[2 * place + 1][0]
            like = self.inputs.captured[k]
            indices = reshape(indices, (-1,))
            rows_shape = concat([shape(indices), shape(like)[1:]], axis=0)
            gradients.captured[k] = IndexedSlices(reshape(values, rows_shape), indices, like)
        return gradients.flat(layout.limited)


@loop.gradient(saves=("inputs", "outputs"))
def _(c: Ctx) -> Grads:
    return _Backward(c).build()
