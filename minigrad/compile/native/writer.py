"""Writing LLVM's language: modules of functions, and the instructions inside them.

A `Value` is a name (or constant) and its type. Every method of `Writer` writes one instruction and
gives its value; scalars and vectors are written alike. Nothing here rounds differently from NumPy:
no fast-math flag is ever written, and a product and a sum become one operation only in `fma`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from minigrad.compile.native.types import BOOL, I64, PTR, Type, literal, memory_bytes

_FLOAT_PREDICATES = {"==": "oeq", "!=": "une", "<": "olt", "<=": "ole", ">": "ogt", ">=": "oge"}
_SIGNED = {"==": "eq", "!=": "ne", "<": "slt", "<=": "sle", ">": "sgt", ">=": "sge"}
_UNSIGNED = {"==": "eq", "!=": "ne", "<": "ult", "<=": "ule", ">": "ugt", ">=": "uge"}


class Value(NamedTuple):
    """A value in native code: its name, or the constant itself, and its type."""

    text: str
    type: Type

    @property
    def lanes(self) -> int:
        """Number of lanes; 1 for a scalar."""
        return self.type.lanes

    @property
    def typed(self) -> str:
        """How an operand is written with its type."""
        return f"{self.type.text} {self.text}"


class Module:
    """The text of one LLVM module.

    Args:
        vector_bytes: width of the vectors that code should use.
    """

    def __init__(self, vector_bytes: int) -> None:
        self.vector_bytes = vector_bytes
        self._declarations: dict[str, None] = {}
        self._functions: list[str] = []
        self._shared: dict[Any, str] = {}

    def lanes(self, t: Type) -> int:
        """How many lanes of a type make one vector."""
        return self.vector_bytes // memory_bytes(t)

    def declare(self, text: str) -> None:
        """Declare something outside the module, as in ``void @mg_parallel(ptr, ptr, i64)``."""
        self._declarations[text] = None

    def function(
        self,
        name: str,
        parameters: Sequence[tuple[str, Type]],
        result: Type | None = None,
        attributes: str = "",
        linkage: str = "internal",
    ) -> Writer:
        """Begin a function; `Writer.finish` adds it to the module."""
        return Writer(self, name, parameters, result, attributes, linkage)

    def shared(self, key: Any, make: Callable[[str], None]) -> str:
        """The name of a function that is written once for a key: ``make(name)`` writes it."""
        name = self._shared.get(key)
        if name is None:
            name = self._shared[key] = f"s{len(self._shared)}"
            make(name)
        return name

    def add(self, text: str) -> None:
        """Add the text of a finished function or global."""
        self._functions.append(text)

    def once(self, key: Any, text: str) -> str:
        """The name of a function whose text, with ``@NAME`` for its name, is added only once."""
        full = (key, text)
        name = self._shared.get(full)
        if name is None:
            name = self._shared[full] = f"s{len(self._shared)}"
            self._functions.append(text.replace("@NAME(", f"@{name}(", 1))
        return name

    def text(self) -> str:
        """The whole module."""
        declared = "\n".join([f"declare {text}" for text in self._declarations])
        return declared + "\n\n" + "\n\n".join(self._functions) + "\n"


class Loop:
    """A counted loop being written: its index, the values it carries, and their next ones."""

    __slots__ = ("index", "next", "results", "values")

    def __init__(self, index: Value, values: tuple[Value, ...]) -> None:
        self.index = index
        #: The carried values at the start of an iteration.
        self.values = values
        #: To be set: the carried values at its end.
        self.next: tuple[Value, ...] = values
        #: After the loop: the carried values at its end.
        self.results: tuple[Value, ...] = ()


class Writer:
    """One function being written."""

    def __init__(
        self,
        module: Module,
        name: str,
        parameters: Sequence[tuple[str, Type]],
        result: Type | None,
        attributes: str,
        linkage: str,
    ) -> None:
        self.module = module
        self.name = name
        self.parameters = tuple([Value(f"%{n}", t) for n, t in parameters])
        self._head = (
            f"define {linkage} {result.text if result else 'void'} @{name}"
            f"({', '.join([f'{t.text} %{n}' for n, t in parameters])}) {attributes} {{\nentry:"
        )
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self.block = "start"

    # -- text ------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of lines written so far."""
        return len(self._lines)

    def put(self, line: str) -> None:
        """Write an instruction without a result."""
        self._lines.append(line)

    def make(self, t: Type, line: str) -> Value:
        """Write an instruction with a result of a type."""
        name = f"%v{self._count}"
        self._count += 1
        self._lines.append(f"{name} = {line}")
        return Value(name, t)

    def later(self, t: Type) -> Value:
        """A new name for a value that a line put in later defines."""
        self._count += 1
        return Value(f"%n{self._count}", t)

    def put_in(self, place: int, lines: Sequence[str]) -> None:
        """Write lines before the one that was number `place` (see `size`)."""
        self._lines[place:place] = lines

    def label(self, stem: str) -> str:
        """A new name for a block."""
        self._count += 1
        return f"{stem}{self._count}"

    def begin(self, label: str) -> None:
        """Begin a block."""
        self._lines.append(f"{label}:")
        self.block = label

    def reserve(self, count: int, t: Type, align: int = 64) -> Value:
        """Memory on the stack for `count` elements, made once at the function's entry."""
        name = f"%m{self._count}"
        self._count += 1
        self._entry.append(f"{name} = alloca {t.text}, i64 {count}, align {align}")
        return Value(name, PTR)

    def finish(self, result: Value | None = None) -> None:
        """End the function and add it to the module."""
        self.put(f"ret {result.typed}" if result else "ret void")
        body = "\n".join([*self._entry, "br label %start", "start:", *self._lines])
        self.module.add(f"{self._head}\n{body}\n}}")

    def finish_once(self, key: Any = "") -> str:
        """End a function that was named NAME; the name of the one like it, or of this."""
        self.put("ret void")
        body = "\n".join([*self._entry, "br label %start", "start:", *self._lines])
        return self.module.once(key, f"{self._head}\n{body}\n}}")

    # -- constants -------------------------------------------------------------------------

    def const(self, value: Any, t: Type) -> Value:
        """A constant in all lanes of a type."""
        return Value(literal(value, t), t)

    def like(self, value: Any, x: Value) -> Value:
        """A constant of the type of `x`."""
        return Value(literal(value, x.type), x.type)

    def index(self, value: int) -> Value:
        """A constant 64-bit index."""
        return Value(str(value), I64)

    # -- arithmetic ------------------------------------------------------------------------

    def _two(self, floats: str, integers: str, a: Value, b: Value) -> Value:
        op = floats if a.type.kind == "float" else integers
        return self.make(a.type, f"{op} {a.typed}, {b.text}")

    def add(self, a: Value, b: Value) -> Value:
        """a + b; integers wrap around."""
        return self._two("fadd", "add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        """a - b; integers wrap around."""
        return self._two("fsub", "sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        """a · b; integers wrap around."""
        return self._two("fmul", "mul", a, b)

    def div(self, a: Value, b: Value) -> Value:
        """a / b of floats; of integers (b must not be 0, nor the quotient overflow) towards 0."""
        return self._two("fdiv", "sdiv" if a.type.kind == "int" else "udiv", a, b)

    def rem(self, a: Value, b: Value) -> Value:
        """The rest of `div`, with the sign of a. Of floats by a call of libm for each lane."""
        return self._two("frem", "srem" if a.type.kind == "int" else "urem", a, b)

    def neg(self, a: Value) -> Value:
        """-a."""
        if a.type.kind == "float":
            return self.make(a.type, f"fneg {a.typed}")
        return self.make(a.type, f"sub {a.type.text} {literal(0, a.type)}, {a.text}")

    def intrinsic(self, name: str, *operands: Value, result: Type | None = None) -> Value:
        """Call ``llvm.<name>`` on operands of one type, as in ``intrinsic("fabs", x)``."""
        t = operands[0].type
        full = f"llvm.{name}.{t.suffix}"
        given = ", ".join([v.type.text for v in operands])
        out = result or t
        self.module.declare(f"{out.text} @{full}({given})")
        return self.make(out, f"call {out.text} @{full}({', '.join([v.typed for v in operands])})")

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a · b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def abs(self, a: Value) -> Value:
        """|a|; the least integer stays itself."""
        if a.type.kind == "float":
            return self.intrinsic("fabs", a)
        if a.type.kind == "uint":
            return a
        return self.select(self.compare("<", a, self.like(0, a)), self.neg(a), a)

    def sqrt(self, a: Value) -> Value:
        """The square root, rounded correctly; NaN below 0."""
        return self.intrinsic("sqrt", a)

    def copysign(self, a: Value, b: Value) -> Value:
        """|a| with the sign of b."""
        return self.intrinsic("copysign", a, b)

    def maximum(self, a: Value, b: Value) -> Value:
        """The larger; NaN if one is NaN (as `np.maximum`)."""
        if a.type.kind == "float":
            return self.intrinsic("maximum", a, b)
        if a.type.kind == "bool":
            return self.or_(a, b)
        return self.intrinsic("smax" if a.type.kind == "int" else "umax", a, b)

    def minimum(self, a: Value, b: Value) -> Value:
        """The smaller; NaN if one is NaN (as `np.minimum`)."""
        if a.type.kind == "float":
            return self.intrinsic("minimum", a, b)
        if a.type.kind == "bool":
            return self.and_(a, b)
        return self.intrinsic("smin" if a.type.kind == "int" else "umin", a, b)

    # -- bits ------------------------------------------------------------------------------

    def and_(self, a: Value, b: Value) -> Value:
        """Bitwise and; of bools, logical."""
        return self.make(a.type, f"and {a.typed}, {b.text}")

    def or_(self, a: Value, b: Value) -> Value:
        """Bitwise or; of bools, logical."""
        return self.make(a.type, f"or {a.typed}, {b.text}")

    def xor(self, a: Value, b: Value) -> Value:
        """Bitwise exclusive or; of bools, logical."""
        return self.make(a.type, f"xor {a.typed}, {b.text}")

    def not_(self, a: Value) -> Value:
        """Every bit inverted; of bools, logical."""
        return self.xor(a, self.like(True if a.type.kind == "bool" else -1, a))

    def shl(self, a: Value, b: Value) -> Value:
        """a shifted left by b, which must be less than the number of bits."""
        return self.make(a.type, f"shl {a.typed}, {b.text}")

    def shr(self, a: Value, b: Value) -> Value:
        """a shifted right by b (less than the number of bits); signed integers keep their sign."""
        op = "ashr" if a.type.kind == "int" else "lshr"
        return self.make(a.type, f"{op} {a.typed}, {b.text}")

    def bitcast(self, a: Value, t: Type) -> Value:
        """The same bits as another type of the same size."""
        return self.make(t, f"bitcast {a.typed} to {t.text}")

    # -- comparisons and choice ------------------------------------------------------------

    def compare(self, relation: str, a: Value, b: Value) -> Value:
        """``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``; with NaN all but ``!=`` are false."""
        t = Type("bool", 1, a.type.lanes)
        if a.type.kind == "float":
            return self.make(t, f"fcmp {_FLOAT_PREDICATES[relation]} {a.typed}, {b.text}")
        table = _SIGNED if a.type.kind == "int" else _UNSIGNED
        return self.make(t, f"icmp {table[relation]} {a.typed}, {b.text}")

    def is_nan(self, a: Value) -> Value:
        """Whether a is NaN."""
        return self.make(Type("bool", 1, a.type.lanes), f"fcmp uno {a.typed}, {a.text}")

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """a where the condition holds, else b, lane by lane."""
        return self.make(a.type, f"select {condition.typed}, {a.typed}, {b.typed}")

    def any(self, condition: Value) -> Value:
        """Whether a condition holds in any lane."""
        if condition.type.lanes == 1:
            return condition
        return self.intrinsic("vector.reduce.or", condition, result=BOOL)

    # -- conversions -----------------------------------------------------------------------

    def convert(self, a: Value, to: Type) -> Value:
        """`a` in another scalar type (lanes are kept), as NumPy's `astype` does.

        A float that an integer cannot hold gives what the processor gives in C, for NaN too.
        """
        target = to.of(a.type.lanes)
        source = a.type
        if source == target:
            return a
        if target.kind == "bool":
            return self.compare("!=", a, self.like(0, a))
        if source.kind == "float":
            if target.kind == "float":
                op = "fpext" if target.bits > source.bits else "fptrunc"
                return self.make(target, f"{op} {a.typed} to {target.text}")
            return self._to_integer(a, target)
        if target.kind == "float":
            op = "sitofp" if source.kind == "int" else "uitofp"
            return self.make(target, f"{op} {a.typed} to {target.text}")
        if target.bits == source.bits:
            return Value(a.text, target)
        if target.bits < source.bits:
            return self.make(target, f"trunc {a.typed} to {target.text}")
        op = "sext" if source.kind == "int" else "zext"
        return self.make(target, f"{op} {a.typed} to {target.text}")

    def _to_integer(self, a: Value, target: Type) -> Value:
        """A float to an integer: as x86 converts, whose results NumPy shows there.

        What is out of range gives the least integer of 32 bits for shorter targets and int32, of
        64 bits otherwise, and of that the lowest bits. (To uint32 NumPy converts four at once in
        another way; this is how it converts one.)
        """
        short = target.bits < 32 or (target.bits == 32 and target.kind == "int")
        wide = Type("int", 32 if short else 64, a.type.lanes)
        bound = 2.0 ** (wide.bits - 1)
        made = self._truncated(a, wide)
        if target.kind == "uint" and target.bits == 64:
            half = self.like(bound, a)
            upper = self._truncated(self.sub(a, half), wide)
            upper = self.xor(upper, self.const(-int(bound), wide))
            made = self.select(self.compare(">=", a, half), upper, made)
        return self.convert(made, target)

    def _truncated(self, a: Value, to: Type) -> Value:
        """A float rounded towards 0, or the least integer where that does not fit."""
        bound = 2.0 ** (to.bits - 1)
        fits = self.and_(
            self.compare(">=", a, self.like(-bound, a)), self.compare("<", a, self.like(bound, a))
        )
        safe = self.select(fits, a, self.like(0, a))
        made = self.make(to, f"fptosi {safe.typed} to {to.text}")
        return self.select(fits, made, self.const(-int(bound), to))

    # -- vectors ---------------------------------------------------------------------------

    def splat(self, a: Value, lanes: int) -> Value:
        """A scalar in every lane of a vector."""
        if lanes == 1 or a.type.lanes == lanes:
            return a
        t = a.type.of(lanes)
        if a.text[0] != "%":
            return Value(f"splat ({a.type.text} {a.text})", t)
        one = self.make(t, f"insertelement {t.text} poison, {a.typed}, i64 0")
        return self.make(
            t,
            f"shufflevector {one.typed}, {t.text} poison, <{lanes} x i32> zeroinitializer",
        )

    def extract(self, a: Value, lane: int) -> Value:
        """One lane of a vector."""
        if a.type.lanes == 1:
            return a
        return self.make(a.type.scalar, f"extractelement {a.typed}, i64 {lane}")

    def insert(self, a: Value, x: Value, lane: int) -> Value:
        """A vector with one lane replaced."""
        return self.make(a.type, f"insertelement {a.typed}, {x.typed}, i64 {lane}")

    def iota(self, t: Type) -> Value:
        """0, 1, 2, … in the lanes of an integer or float type."""
        if t.lanes == 1:
            return self.const(0, t)
        parts = [f"{t.scalar.text} {literal(i, t.scalar)}" for i in range(t.lanes)]
        return Value(f"<{', '.join(parts)}>", t)

    def half(self, a: Value, upper: bool) -> Value:
        """The lower or upper half of a vector's lanes."""
        n = a.type.lanes // 2
        if n == 1:
            return self.extract(a, int(upper))
        t = a.type.of(n)
        which = ", ".join([f"i32 {i + n * upper}" for i in range(n)])
        return self.make(t, f"shufflevector {a.typed}, {a.type.text} poison, <{n} x i32> <{which}>")

    def fold(self, a: Value, join: Callable[[Value, Value], Value]) -> Value:
        """All lanes joined into a scalar, halves with halves: in the order of a tree."""
        while a.type.lanes > 1:
            lower, upper = self.half(a, False), self.half(a, True)
            a = join(lower, upper)
        return a

    # -- memory ----------------------------------------------------------------------------

    def at(self, base: Value, index: Value | int, t: Type) -> Value:
        """The address of element `index` of an array of elements of the scalar type `t`."""
        if index == 0:
            return base
        step = "i8" if t.kind == "bool" else t.scalar.text
        where = index if isinstance(index, int) else index.text
        return self.make(PTR, f"getelementptr {step}, ptr {base.text}, i64 {where}")

    def load(self, address: Value, t: Type) -> Value:
        """The scalar or vector at an address; elements need only be aligned by themselves."""
        if t.kind == "bool":
            raw = Type("uint", 8, t.lanes)
            byte = self.make(raw, f"load {raw.text}, ptr {address.text}, align 1")
            return self.compare("!=", byte, self.const(0, raw))
        return self.make(t, f"load {t.text}, ptr {address.text}, align {memory_bytes(t)}")

    def store(self, value: Value, address: Value) -> None:
        """Write a scalar or vector."""
        t = value.type
        if t.kind == "bool":
            raw = Type("uint", 8, t.lanes)
            value = self.make(raw, f"zext {value.typed} to {raw.text}")
            t = raw
        self.put(f"store {value.typed}, ptr {address.text}, align {memory_bytes(t)}")

    def load_masked(
        self, address: Value, t: Type, mask: Value, other: Value | None = None
    ) -> Value:
        """The lanes of a vector where the mask holds; elsewhere memory is not touched."""
        raw = Type("uint", 8, t.lanes) if t.kind == "bool" else t
        default = other or self.const(0, raw)
        name = f"llvm.masked.load.{raw.suffix}.p0"
        self.module.declare(f"{raw.text} @{name}(ptr, {mask.type.text}, {raw.text})")
        made = self.make(
            raw,
            f"call {raw.text} @{name}(ptr align {memory_bytes(raw)} {address.text}, "
            f"{mask.typed}, {default.typed})",
        )
        return self.compare("!=", made, self.const(0, raw)) if t.kind == "bool" else made

    def store_masked(self, value: Value, address: Value, mask: Value) -> None:
        """Write the lanes where the mask holds; elsewhere memory is not touched."""
        t = value.type
        if t.kind == "bool":
            raw = Type("uint", 8, t.lanes)
            value = self.make(raw, f"zext {value.typed} to {raw.text}")
            t = raw
        name = f"llvm.masked.store.{t.suffix}.p0"
        self.module.declare(f"void @{name}({t.text}, ptr, {mask.type.text})")
        self.put(
            f"call void @{name}({value.typed}, ptr align {memory_bytes(t)} {address.text}, "
            f"{mask.typed})"
        )

    def mask(self, count: Value, lanes: int) -> Value:
        """A mask that holds in the first `count` lanes."""
        t = Type("int", 32, lanes)
        # LLVM errs where it knows beforehand that a mask, or half of a wide one, holds in one lane
        # only: it stores as many bytes of a narrowed number as that had before, and a selection
        # from a quotient keeps what lies in other lanes. So it is not to know.
        hidden = self.make(I64, f'call i64 asm "", "=r,0"(i64 {count.text})')
        short = self.make(Type("int", 32), f"trunc i64 {hidden.text} to i32")
        return self.compare("<", self.iota(t), self.splat(short, lanes))

    # -- control ---------------------------------------------------------------------------

    @contextmanager
    def loop(
        self,
        start: Value | int,
        stop: Value | int,
        step: int = 1,
        carried: Sequence[Value] = (),
    ) -> Iterator[Loop]:
        """Write a loop: ``with w.loop(0, n) as loop: … loop.index …``; it may run no times.

        Values carried from one iteration to the next are given at first in `carried`; the block
        reads them from ``loop.values``, sets ``loop.next``, and ``loop.results`` holds the last.
        """
        first = self.index(start) if isinstance(start, int) else start
        last = self.index(stop) if isinstance(stop, int) else stop
        head, body, done = self.label("head"), self.label("body"), self.label("done")
        before = self.block
        self.put(f"br label %{head}")
        self.begin(head)
        place = len(self._lines)
        self._count += 1 + len(carried)
        base = self._count
        index = Value(f"%p{base}", I64)
        values = tuple([Value(f"%p{base}x{i}", v.type) for i, v in enumerate(carried)])
        going = self.make(BOOL, f"icmp slt {index.typed}, {last.text}")
        self.put(f"br i1 {going.text}, label %{body}, label %{done}")
        self.begin(body)
        state = Loop(index, values)
        yield state
        following = self.make(I64, f"add {index.typed}, {step}")
        end = self.block
        self.put(f"br label %{head}")
        phis = [f"{index.text} = phi i64 [{first.text}, %{before}], [{following.text}, %{end}]"]
        for value, at_first, at_last in zip(values, carried, state.next, strict=True):
            phis.append(
                f"{value.text} = phi {value.type.text} [{at_first.text}, %{before}], "
                f"[{at_last.text}, %{end}]"
            )
        self._lines[place:place] = phis
        self.begin(done)
        state.results = values

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Write a block that runs if a condition holds."""
        then, done = self.label("then"), self.label("done")
        self.put(f"br i1 {condition.text}, label %{then}, label %{done}")
        self.begin(then)
        yield
        self.put(f"br label %{done}")
        self.begin(done)

    def choose(self, condition: Value, then: Callable[[], Value], other: Value) -> Value:
        """What `then` writes if a condition holds, else `other`; it runs only then."""
        before, label, done = self.block, self.label("then"), self.label("done")
        self.put(f"br i1 {condition.text}, label %{label}, label %{done}")
        self.begin(label)
        made = then()
        end = self.block
        self.put(f"br label %{done}")
        self.begin(done)
        return self.make(
            other.type,
            f"phi {other.type.text} [{made.text}, %{end}], [{other.text}, %{before}]",
        )

    def call(self, name: str, *operands: Value, result: Type | None = None) -> Value | None:
        """Call a function of the module, or one that was declared."""
        given = ", ".join([v.typed for v in operands])
        if result is None:
            self.put(f"call void @{name}({given})")
            return None
        return self.make(result, f"call {result.text} @{name}({given})")
