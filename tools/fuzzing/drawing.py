"""Draws random graphs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import MinigradError
from tools.fuzzing.programs import Line, Program, build
from tools.fuzzing.vocabulary import VOCABULARY

#: Lengths of axes, short ones more often.
SIZES = (1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 32, 33, 64, 65, 100, 129, 130, 257)
LONG_SIZES = (1000, 4096, 4097, 5000, 16385, 40000)
#: Values have at most so many elements; in one graph of `_RARELY` they may have more.
ELEMENTS, MORE_ELEMENTS = 2500, 40000
_RARELY = 25

_LENGTH = re.compile(r"\bD?\d+\b(?=[,)])")

FLOATS = ("float32", "float32", "float32", "float64", "float64")
DTYPES = ("float32", "float64", "int32", "int64", "int8", "uint8", "bool", "float16")
_ODD = {
    "float32": "[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1e-40, 1e-30, 1.0, 3.0, -2e4]",
    "float64": "[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-320, -1e-310, 1e-200, 1.0, 3.0, -2e4]",
    "float16": "[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-7, 1.0, 3.0, -2e2]",
}


class Drawing:
    """A graph that grows line by line; what vocabularies of ops draw from.

    Attributes:
        rng: where all choices come from.
        values: tensors by name.
        dtype: the type of floating-point numbers that most of the graph computes in.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.most = MORE_ELEMENTS if self.chance(1 / _RARELY) else ELEMENTS
        self.dtype: str = self.choose(FLOATS)
        self.sizes: dict[str, int] = {}
        self.lines: list[Line] = []
        self.arrays: dict[str, tuple[str, ...]] = {}
        self.values: dict[str, Any] = {}
        self.updates: list[str] = []
        self.variables: list[str] = []
        self._count = 0
        self._graph = mg.Graph()
        self._names: dict[str, Any] = {"mg": mg, "nn": nn, "np": np, "optim": optim}
        for _ in range(self.rng.integers(2, 5)):
            self._add_size()

    # -- choosing --------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """True that often."""
        return bool(self.rng.random() < probability)

    def choose(self, options: Sequence[Any]) -> Any:
        """One of several, all alike."""
        return options[int(self.rng.integers(len(options)))]

    def integer(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(
        self,
        dtypes: str = "f",
        fits: Callable[[Any], bool] = lambda t: True,
    ) -> str | None:
        """The name of a tensor whose dtype is of one of these kinds, later ones more often.

        Args:
            dtypes: letters of NumPy's kinds: ``f``, ``i``, ``u``, ``b``.
            fits: what else must hold.
        """
        names = [
            name
            for name, t in self.values.items()
            if t.dtype.dtype.kind in dtypes and t.dtype.dtype.itemsize > (2 if dtypes == "f" else 0)
        ]
        names = [name for name in names if fits(self.values[name])]
        if not names:
            return None
        if self.chance(0.5):
            names = names[-4:]
        return self.choose(names)  # type: ignore[no-any-return]

    def like(self, name: str, dtypes: str | None = None) -> str | None:
        """Another tensor of the same dtype that broadcasts with one."""
        t = self.values[name]

        def fits(other: Any) -> bool:
            if other.dtype != t.dtype:
                return False
            try:
                shape = np.broadcast_shapes(other.shape, t.shape)
            except ValueError:
                return False
            return int(np.prod(shape)) <= self.most

        return self.pick(dtypes or t.dtype.dtype.kind, fits)

    def axis(self, name: str) -> int:
        """An axis of a tensor of rank 1 or more."""
        rank = self.values[name].ndim
        return self.integer(-rank, rank - 1)

    def axes(self, name: str) -> str:
        """Some axes, or None for all, as text."""
        rank = self.values[name].ndim
        if rank == 0 or self.chance(0.25):
            return "None"
        chosen = [i for i in range(rank) if self.chance(0.5)]
        if len(chosen) == 1 or not chosen:
            return str(self.axis(name))
        return repr(tuple([i - rank if self.chance(0.3) else i for i in chosen]))

    # -- growing ---------------------------------------------------------------------------

    def _add_size(self) -> str:
        name = f"D{len(self.sizes)}"
        sizes = LONG_SIZES if self.most > ELEMENTS and self.chance(0.3) else SIZES
        size = 0 if self.chance(0.01) else self.choose(sizes)
        self.sizes[name] = self._names[name] = size
        return name

    def shape(self, rank: int | None = None) -> str:
        """A shape of few enough elements, as text."""
        rank = self.choose((0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 4)) if rank is None else rank
        for _ in range(20):
            names = [self.choose([*self.sizes, "1"]) for _ in range(rank)]
            if np.prod([self.sizes.get(n, 1) for n in names]) <= self.most:
                return f"({', '.join(names)}{',' if rank == 1 else ''})"
        return f"({'1, ' * rank})"

    def add(self, text: str, prefix: str = "v") -> str | None:
        """Add a line, if it can be built; its name."""
        name = f"{prefix}{self._count}"
        graph = self._graph
        try:
            with graph.as_default(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = eval(text, self._names)
        except (MinigradError, TypeError, ValueError, IndexError):
            return None
        tensor = isinstance(made, mg.Tensor)
        if prefix == "v" and not tensor:
            return None
        if tensor and (None in made.shape or int(np.prod(made.shape)) > self.most):
            return None
        self._count += 1
        self._names[name] = made
        self.lines.append(Line(name, text))
        if tensor and prefix != "u":
            self.values[name] = made
        return name

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor or variable."""
        return tuple(self._names[name].shape)

    def feed(
        self, dtype: str | None = None, shape: str | None = None, odd: float = 0.15
    ) -> str | None:
        """Add a placeholder and what is fed to it; once that part of its elements are odd ones."""
        dtype = dtype or self.dtype
        shape = shape or self.shape()
        name = self.add(f"mg.placeholder({dtype!r}, {shape})", "p")
        if name is not None:
            plain = self.array(dtype, shape)
            unusual = self.array(dtype, shape, odd)
            again = self._laid_out(self.array(dtype, shape), dtype)
            self.arrays[name] = (plain, unusual, again)
        return name

    def feed_inside(self) -> None:
        """Feed a value that could be computed."""
        names = [name for name in self.values if name[0] == "v"]
        if names:
            name = self.choose(names)
            t = self.values[name]
            if t.dtype.dtype.kind in "fiub":
                shape = repr(t.shape)
                self.arrays[name] = tuple([self.array(t.dtype.name, shape) for _ in range(3)])

    def array(self, dtype: str, shape: str, odd: float = 0.0) -> str:
        """An expression for an array; with `odd`, that part of its elements are odd ones."""
        r = f"np.random.default_rng({self.integer(0, 10**6)})"
        if dtype == "bool":
            return f"np.asarray({r}.random({shape}) < 0.5)"
        if dtype[0] in "iu":
            low = 0 if dtype[0] == "u" else -4
            return f"np.asarray({r}.integers({low}, 6, {shape}), {dtype!r})"
        scale = self.choose(("", "", "", " * 0.1", " * 3.0"))
        if not odd:
            return f"np.asarray({r}.normal(size={shape}){scale}, {dtype!r})"
        return (
            f"(lambda r: np.asarray(np.where(r.random({shape}) < {odd}, "
            f"r.choice({_ODD[dtype]}, {shape}), r.normal(size={shape})), {dtype!r}))({r})"
        )

    def _laid_out(self, text: str, dtype: str) -> str:
        """The same values, laid out otherwise."""
        return self.choose(
            (
                text,
                f"np.asfortranarray({text})",
                f"(lambda a: np.repeat(a[..., None], 2, -1)[..., 1])({text})",
                f"(lambda a: np.flip(np.ascontiguousarray(np.flip(a))))({text})",
                f"(lambda a: a.astype(a.dtype.newbyteorder()))({text})",
                f"(lambda a: np.broadcast_to(a, a.shape))({text})",
                f"(lambda a: np.frombuffer(b'x' + a.tobytes(), a.dtype, a.size, 1)"
                f".reshape(a.shape) if a.size else a)({text})",
            )
        )


def draw(seed: int) -> Program:
    """The graph of a seed."""
    d = Drawing(seed)
    for _ in range(d.integer(1, 3)):
        d.feed()
    if d.chance(0.3):
        d.feed(d.choose(DTYPES))
    names, weights = zip(*[(entry, entry.weight) for entry in VOCABULARY], strict=True)
    share = np.cumsum(weights) / np.sum(weights)
    for _ in range(d.integer(3, 30)):
        entry = names[int(np.searchsorted(share, d.rng.random()))]
        text = entry.draw(d)
        if text is not None:
            d.add(text)
    _add_gradients(d)
    _add_training(d)
    if d.chance(0.08):
        d.feed_inside()
    program = Program(dict(d.sizes), tuple(d.lines), d.arrays, _fetches(d), seed).pruned()
    return _loosened(d, program) if d.chance(0.15) else program


def _add_gradients(d: Drawing) -> None:
    """Gradients of a scalar by some values before it."""
    if not d.chance(0.5):
        return
    for _ in range(d.integer(1, 2)):
        last = d.pick("f")
        if last is None:
            return
        sources = [
            name for name, t in d.values.items() if name[0] == "p" and t.dtype.dtype.kind == "f"
        ]
        sources += d.variables
        sources += [name for name in [d.pick("f")] if name is not None]
        text = d.choose((f"mg.sum({last})", f"mg.mean({last} * {last})", last))
        for name in sources[:3]:
            d.add(f"mg.convert_to_tensor(mg.gradients({text}, [{name}])[0])")


def _add_training(d: Drawing) -> None:
    """A step of an optimizer for the variables."""
    if not d.variables or not d.chance(0.6):
        return
    losses = [
        line.name for line in d.lines if line.name in d.values and d.values[line.name].ndim == 0
    ]
    losses = [name for name in losses if d.values[name].dtype.name == d.dtype]
    loss = d.choose(losses) if losses and d.chance(0.5) else None
    texts = [f"mg.sum({name} * {name})" for name in d.variables]
    rule = d.choose(
        ("SGD(0.1)", "Momentum(0.1)", "Adam(0.1)", "AdamW(0.1)", "RMSprop(0.1)", "NAdam(0.1)")
    )
    text = f"optim.{rule}.minimize({' + '.join([*texts, *([loss] if loss else [])])})"
    update = d.add(text, "u")
    if update is not None:
        d.updates.append(update)


def _loosened(d: Drawing, program: Program) -> Program:
    """The same with placeholders that do not know all of their shape, if it can be built."""
    lines = []
    for line in program.lines:
        text = line.text
        if line.name[0] == "p":
            text = _LENGTH.sub(lambda m: "None" if d.chance(0.5) else m.group(0), text)
        lines.append(Line(line.name, text))
    made = replace(program, lines=tuple(lines))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build(made)
    except (MinigradError, TypeError, ValueError, IndexError):
        return program
    return made


def _fetches(d: Drawing) -> tuple[str, ...]:
    """What is fetched: mostly late values, sometimes twice, sometimes placeholders."""
    computed = [name for name in d.values if name[0] == "v"]
    some = [name for name in computed if d.chance(0.25)]
    fetches = [*some, *computed[-3:]] or list(d.values)[-1:]
    if d.chance(0.1):
        fetches.append(d.choose(list(d.values)))
    fetches = fetches if d.chance(0.1) else list(dict.fromkeys(fetches))
    fetches += [name for name in d.updates if d.chance(0.7)]
    return tuple(fetches)
