"""Native code: compiled, linked, run on threads, interrupted, and given back."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors

pytest.importorskip("llvmlite")

from minigrad.compile.native import assembler, blas, split, symbols
from minigrad.compile.native.assembler import assemble, recipe_for, statistics
from minigrad.compile.native.engine import load
from minigrad.compile.native.host import available, vector_bytes
from minigrad.compile.native.interrupts import DECLARATIONS, begin, end
from minigrad.compile.native.linker import Code, link
from minigrad.compile.native.pool import Pool
from minigrad.compile.native.pool_code import pool_code

ROOT = Path(__file__).resolve().parent.parent
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork, no kill")

SQUARE = "define double @square(double %x) { %y = fmul double %x, %x ret double %y }"

# Adds 1 to each of the units' numbers; every unit by itself in `nested`.
COUNT = """
declare void @mg_parallel(ptr, ptr, i64)
define internal void @task(ptr %numbers, i64 %lo, i64 %hi) {
entry:
  br label %loop
loop:
  %i = phi i64 [%lo, %entry], [%j, %loop]
  %p = getelementptr i64, ptr %numbers, i64 %i
  %old = load i64, ptr %p
  %new = add i64 %old, 1
  store i64 %new, ptr %p
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %hi
  br i1 %more, label %loop, label %done
done:
  ret void
}
define internal void @outer(ptr %numbers, i64 %lo, i64 %hi) {
entry:
  br label %loop
loop:
  %i = phi i64 [%lo, %entry], [%j, %loop]
  %at = mul i64 %i, 100
  %p = getelementptr i64, ptr %numbers, i64 %at
  call void @mg_parallel(ptr @task, ptr %p, i64 100)
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %hi
  br i1 %more, label %loop, label %done
done:
  ret void
}
define void @count(ptr %numbers, i64 %units) {
  call void @mg_parallel(ptr @task, ptr %numbers, i64 %units)
  ret void
}
define void @nested(ptr %numbers, i64 %units) {
  call void @mg_parallel(ptr @outer, ptr %numbers, i64 %units)
  ret void
}
"""

# Loops n times, and polls each time; gives back how often it did.
PATIENT = f"""
{DECLARATIONS}
define i64 @patient(i64 %n) {{
entry:
{begin("poll")}
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %on]
  %stop = call i32 @mg_poll(ptr %poll)
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %out, label %on
on:
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %out
out:
{end("poll")}
  ret i64 %i
}}
"""

# C = A B of row-major float32 matrices; args: A, B, C, then m, k, n as i32, one half of m a unit.
PRODUCT = """
declare void @mg_parallel(ptr, ptr, i64)
declare void @mg_sgemm(ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr)
%args = type { ptr, ptr, ptr, i32, i32, i32 }
@plain = private constant i8 78
@one = private constant float 1.0
@zero = private constant float 0.0
define internal void @half(ptr %args, i64 %lo, i64 %hi) {
  %a = load ptr, ptr %args
  %b.p = getelementptr %args, ptr %args, i32 0, i32 1
  %b = load ptr, ptr %b.p
  %c.p = getelementptr %args, ptr %args, i32 0, i32 2
  %c = load ptr, ptr %c.p
  %m.p = getelementptr %args, ptr %args, i32 0, i32 3
  %m = load i32, ptr %m.p
  %k.p = getelementptr %args, ptr %args, i32 0, i32 4
  %k = load i32, ptr %k.p
  %n.p = getelementptr %args, ptr %args, i32 0, i32 5
  %n = load i32, ptr %n.p
  %each = lshr i32 %m, 1
  %from = trunc i64 %lo to i32
  %to = trunc i64 %hi to i32
  %units = sub i32 %to, %from
  %first = mul i32 %each, %from
  %rows = mul i32 %each, %units
  %rows.p = alloca i32
  store i32 %rows, ptr %rows.p
  %skip.a = mul i32 %first, %k
  %skip.c = mul i32 %first, %n
  %at.a = getelementptr float, ptr %a, i32 %skip.a
  %at.c = getelementptr float, ptr %c, i32 %skip.c
  call void @mg_sgemm(ptr @plain, ptr @plain, ptr %n.p, ptr %rows.p, ptr %k.p, ptr @one,
    ptr %b, ptr %n.p, ptr %at.a, ptr %k.p, ptr @zero, ptr %at.c, ptr %n.p)
  ret void
}
define void @product(ptr %args) {
  call void @mg_parallel(ptr @half, ptr %args, i64 2)
  ret void
}
"""


class Arguments(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in "abc"] + [
        (name, ctypes.c_int32) for name in "mkn"
    ]


def unary(code: Code, name: str) -> Callable[[float], float]:
    function: Callable[[float], float] = code.function(
        name, ctypes.PYFUNCTYPE(ctypes.c_double, ctypes.c_double)
    )
    return function


def counter(code: Code, name: str = "count", hold_gil: bool = True) -> Callable[[Any, int], None]:
    kind = ctypes.PYFUNCTYPE if hold_gil else ctypes.CFUNCTYPE
    function = code.function(name, kind(None, ctypes.c_void_p, ctypes.c_int64))
    return lambda numbers, units: function(numbers.ctypes.data, units)


def run_script(script: str) -> str:
    """What a script prints that runs in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


# --- modules -----------------------------------------------------------------------------------


def test_a_module_is_compiled_and_called() -> None:
    code = load(SQUARE, ["square"])
    assert unary(code, "square")(3.0) == 9.0
    with pytest.raises(KeyError):
        code.address("other")
    code.close()
    code.close()


def test_modules_loaded_together_see_each_other() -> None:
    second = """
    declare double @square(double)
    define double @fourth(double %x) {
      %y = call double @square(double %x)
      %z = call double @square(double %y)
      ret double %z
    }"""
    assert unary(load([SQUARE, second], ["fourth"]), "fourth")(2.0) == 16.0


def test_modules_loaded_apart_may_share_names() -> None:
    other = load(SQUARE.replace("fmul", "fadd"), ["square"])
    assert unary(load(SQUARE, ["square"]), "square")(3.0) == 9.0
    assert unary(other, "square")(3.0) == 6.0


def test_functions_of_the_process_are_found() -> None:
    ir = """
    declare double @erf(double)
    declare <4 x double> @llvm.exp.v4f64(<4 x double>)
    define double @f(double %x) { %y = call double @erf(double %x) ret double %y }
    define double @g(double %x) {
      %v = insertelement <4 x double> zeroinitializer, double %x, i32 2
      %w = call <4 x double> @llvm.exp.v4f64(<4 x double> %v)
      %y = extractelement <4 x double> %w, i32 2
      ret double %y
    }"""
    code = load(ir, ["f", "g"])
    assert unary(code, "f")(0.5) == pytest.approx(0.5204998778130465, rel=1e-15)
    assert unary(code, "g")(1.0) == pytest.approx(2.718281828459045, rel=1e-15)


def test_faults_are_reported() -> None:
    with pytest.raises(RuntimeError, match="expected instruction opcode"):
        load("define void @f() { nonsense }", ["f"])
    with pytest.raises(RuntimeError, match="Failed to materialize"):
        load(
            "declare void @no_such_function() define void @f() "
            "{ call void @no_such_function() ret void }",
            ["f"],
        )
    with pytest.raises(RuntimeError, match="absent"):
        load(SQUARE, ["absent"])


def test_products_need_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(symbols._RUNTIME, "mg_sgemm", lambda: 0)
    with pytest.raises(errors.OperationError, match=r"needs mg_sgemm, .*minigrad\[jit\]"):
        load(PRODUCT, ["product"])


def test_long_modules_take_less_effort_and_compute_the_same() -> None:
    def chain(steps: int) -> str:
        lines = ["define double @f(double %v0) {"]
        lines += [
            f"  %v{k + 1} = {'fadd' if k % 2 else 'fmul'} double %v{k}, 0.75" for k in range(steps)
        ]
        return "\n".join([*lines, f"  ret double %v{steps}", "}"])

    assert recipe_for(chain(1000)).level > recipe_for(chain(8000)).level
    many = "\n".join([chain(1000).replace("@f", f"@f{k}") for k in range(10)])
    assert recipe_for(many) == recipe_for(chain(1000))
    expected = 2.0
    for k in range(8000):
        expected = expected + 0.75 if k % 2 else expected * 0.75
    assert unary(load(chain(8000), ["f"]), "f")(2.0) == expected


# What a module may hold: constants, a type, functions that call each other from both sides.
MIXED = """
; All that a plan's module may hold.
%pair = type { double, double }
@factors = private unnamed_addr constant [2 x double] [double 3.0, double 5.0]
declare double @llvm.fabs.f64(double)
define internal double @tenfold(double %x) alwaysinline { %y = fmul double %x, 10.0 ret double %y }
define internal { double, i1 } @first({ double, i1 } %p, ptr dereferenceable(8) %q) nounwind {
  %x = extractvalue { double, i1 } %p, 0
  %f = load double, ptr @factors
  %y = fmul double %x, %f
  %z = call double @second(double %y)
  %r = insertvalue { double, i1 } %p, double %z, 0
  ret { double, i1 } %r
}
define internal double @second(double %x) {
  %p = getelementptr %pair, ptr @factors, i32 0, i32 1
  %f = load double, ptr %p
  %y = fmul double %x, %f
  %z = call double @tenfold(double %y)
  ret double %z
}
define double @whole(double %x) {
  %here = alloca double
  %p = insertvalue { double, i1 } zeroinitializer, double %x, 0
  %r = call { double, i1 } @first({ double, i1 } %p, ptr %here)
  %y = extractvalue { double, i1 } %r, 0
  %z = call double @llvm.fabs.f64(double %y)
  ret double %z
}
"""


def test_long_modules_are_cut_and_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert split.split(MIXED) == [MIXED]
    monkeypatch.setattr(split, "LONG", 10)
    monkeypatch.setattr(split, "_PART", 3)
    parts = split.split(MIXED)
    assert len(parts) == 3
    assert "@llvm.fabs" not in parts[0]
    code = load(MIXED, ["whole"])
    assert unary(code, "whole")(-2.0) == 300.0
    variable = MIXED + "@state = internal global i64 0\n"
    assert split.split(variable) == [variable]


def test_compiling_a_long_module_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "LONG", 10)
    monkeypatch.setattr(split, "_PART", 3)
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", "0")
    before = statistics().compiled
    real = assembler.compile_module

    def compile_and_interrupt(ir: str, recipe: assembler.Recipe) -> bytes:
        signal.raise_signal(signal.SIGINT)
        return real(ir, recipe)

    monkeypatch.setattr(assembler, "compile_module", compile_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(MIXED, ["whole"])
    monkeypatch.setattr(assembler, "compile_module", real)
    assert statistics().compiled == before
    assert unary(load(MIXED, ["whole"]), "whole")(1.0) == 150.0


def test_statistics_count_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    before = statistics()
    assemble(SQUARE)
    assemble(SQUARE)
    after = statistics()
    assert after.compiled - before.compiled == (1 if os.name == "posix" else 2)
    assert after.compiled + after.cached - before.compiled - before.cached == 2
    assert after.seconds > before.seconds


def test_many_threads_compile_at_once() -> None:
    found: list[float] = []

    def work(number: int) -> None:
        for k in range(10):
            ir = SQUARE.replace("%x, %x", f"%x, {float(10 * number + k)}")
            found.append(unary(load(ir, ["square"]), "square")(1.0))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found) == [float(k) for k in range(40)]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_a_thousand_modules_leave_little_memory() -> None:
    script = """
    import gc, os
    os.environ["MINIGRAD_CACHE_DIR"] = "0"
    from minigrad.compile.native.engine import load
    def resident():
        gc.collect()
        return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    def one(k):
        code = load(
            f"%s{k} = type {{ i64, [{k + 1} x float] }}\\n"
            f"@g = internal global %s{k} zeroinitializer\\n"
            f"define ptr @f{k}(<8 x float> %x) {{\\n"
            f"  %y = fadd <8 x float> %x, splat (float {float(k)})\\n"
            f"  store <8 x float> %y, ptr @g, align 4\\n  ret ptr @g\\n}}\\n",
            [f"f{k}"],
        )
        if k % 2:
            code.close()
    for k in range(200):
        one(k)
    before = resident()
    for k in range(200, 1200):
        one(k)
    print((resident() - before) / 1000)
    """
    assert float(run_script(script)) < 10_000


# --- the host and the number of threads --------------------------------------------------------


def test_the_host_says_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vector_bytes() in (16, 32, 64)
    monkeypatch.delenv("MINIGRAD_JIT", raising=False)
    assert available()
    monkeypatch.setenv("MINIGRAD_JIT", "0")
    assert not available()


@pytest.mark.parametrize(
    ("own", "general", "expected"),
    [("3", "2", 3), (None, "2", 2), ("", "4,2", 4), (None, "many", None), ("9999", None, 256)],
)
def test_the_environment_chooses_the_number_of_threads(
    own: str | None, general: str | None, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigrad.threads._chosen", None)
    for name, value in (("MINIGRAD_NUM_THREADS", own), ("OMP_NUM_THREADS", general)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert mg.get_num_threads() == (expected or cpus)


def test_wrong_numbers_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.ArgumentError, match="1 to 256, got 0"):
        mg.set_num_threads(0)
    with pytest.raises(errors.ArgumentError, match="got 257"):
        mg.set_num_threads(257)
    with pytest.raises(errors.ArgumentTypeError, match=r"integer, got 1\.5 of type float"):
        mg.set_num_threads(1.5)  # type: ignore[arg-type]
    monkeypatch.setattr("minigrad.threads._chosen", None)
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", "two")
    with pytest.raises(errors.ArgumentError, match=r"MINIGRAD_NUM_THREADS .* got 'two'"):
        mg.get_num_threads()


def test_nothing_native_is_imported_before_it_is_needed() -> None:
    script = """
    import sys, minigrad as mg
    mg.set_num_threads(2)
    print([m for m in sys.modules if m.split(".")[0] in ("llvmlite", "scipy", "threadpoolctl")])
    """
    assert run_script(script) == "[]"


# --- the pool ----------------------------------------------------------------------------------


@pytest.mark.parametrize("futex", [True, False])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_each_unit_is_done_once(futex: bool, size: int) -> None:
    own = Pool(futex)
    own.resize(size)
    code = link([assemble(COUNT)], ["count"], {"mg_parallel": own.parallel})
    count = counter(code)
    for units in (0, 1, 2, 3, 5, 64, 1000, 100_001):
        numbers = np.zeros(max(units, 1), np.int64)
        for _ in range(100):
            count(numbers, units)
        np.testing.assert_array_equal(numbers[:units], 100)
    assert own.workers() == (size - 1 if sys.platform != "win32" else 0)
    own.resize(1)
    assert own.workers() == 0
    count(numbers, 1)


@pytest.mark.parametrize(
    ("system", "processor"),
    [("linux", "aarch64"), ("linux", "sparc64"), ("darwin", "arm64"), ("win32", "AMD64")],
)
def test_other_systems_pools_are_sound_modules(system: str, processor: str) -> None:
    text = pool_code(system, processor)
    assembler.llvm.parse_assembly(text).verify()
    assert ("pthread_create" in text) == (system != "win32")
    assert ("@syscall" in text) == ((system, processor) == ("linux", "aarch64"))


def test_without_threads_the_caller_does_all() -> None:
    code = link([assemble(COUNT), assemble(pool_code("win32", "AMD64"))], ["count"], {})
    count = counter(code)
    numbers = np.zeros(10, np.int64)
    for units in (0, 1, 7):
        count(numbers, units)
    np.testing.assert_array_equal(numbers, [2] + 6 * [1] + 3 * [0])


@pytest.mark.parametrize("hold_gil", [True, False])
def test_threads_of_python_share_the_pool(hold_gil: bool, threads: Callable[[int], None]) -> None:
    threads(3)
    count = counter(load(COUNT, ["count"]), hold_gil=hold_gil)
    numbers = [np.zeros(5000, np.int64) for _ in range(4)]

    def work(own: Any) -> None:
        for _ in range(500):
            count(own, own.size)

    workers = [threading.Thread(target=work, args=(own,)) for own in numbers]
    for worker in workers:
        worker.start()
    for size in (1, 4, 2, 3):
        threads(size)
    for worker in workers:
        worker.join()
    for own in numbers:
        np.testing.assert_array_equal(own, 500)


def test_a_call_from_inside_a_task_is_serial(threads: Callable[[int], None]) -> None:
    threads(2)
    nested = counter(load(COUNT, ["nested"]), "nested")
    numbers = np.zeros(100 * 300, np.int64)
    for _ in range(20):
        nested(numbers, 300)
    np.testing.assert_array_equal(numbers, 20)


@POSIX
def test_a_child_process_has_a_pool_of_its_own() -> None:
    script = """
    import os, threading
    import numpy as np
    import minigrad as mg
    from minigrad.compile.native.pool import pool
    from test_native_runtime import COUNT, counter, load
    mg.set_num_threads(3)
    count = counter(load(COUNT, ["count"]), hold_gil=False)
    numbers = np.zeros(100_000, np.int64)
    count(numbers, numbers.size)
    stop = False
    def busy():
        own = np.zeros(10_000, np.int64)
        while not stop:
            count(own, own.size)
    threading.Thread(target=busy).start()
    good = 0
    for _ in range(20):
        child = os.fork()
        if not child:
            fresh = pool().workers() == 0
            for _ in range(10):
                count(numbers, numbers.size)
            fine = fresh and pool().workers() == 2 and (numbers == 11).all()
            second = load(COUNT.replace("i64 %old, 1", "i64 %old, 5"), ["count"])
            counter(second)(numbers, numbers.size)
            os._exit(0 if fine and (numbers == 16).all() else 1)
        good += os.waitpid(child, 0)[1] == 0
    stop = True
    count(numbers, numbers.size)
    print(good, (numbers == 2).all())
    """
    assert run_script(script) == "20 True"


@POSIX
def test_workers_leave_signals_to_python_and_let_the_process_end() -> None:
    script = """
    import os, signal
    import numpy as np
    import minigrad as mg
    from minigrad.compile.native.pool import pool
    from test_native_runtime import COUNT, counter, load
    mg.set_num_threads(4)
    before = set(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else None
    numbers = np.zeros(1000, np.int64)
    counter(load(COUNT, ["count"]))(numbers, 1000)
    assert pool().workers() == 3
    if before is not None:
        for task in set(os.listdir("/proc/self/task")) - before:
            status = open(f"/proc/self/task/{task}/status").read()
            blocked = int(status.split("SigBlk:")[1].split()[0], 16)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM):
                assert blocked >> (number - 1) & 1, (task, number)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    print("end")
    """
    assert run_script(script) == "end"


# --- BLAS --------------------------------------------------------------------------------------


def product(a: Any, b: Any, out: Any) -> Arguments:
    return Arguments(
        a.ctypes.data, b.ctypes.data, out.ctypes.data, a.shape[0], a.shape[1], b.shape[1]
    )


@pytest.mark.parametrize("size", [1, 2])
def test_products_of_ours_and_numpys_take_turns(size: int, threads: Callable[[int], None]) -> None:
    assert symbols.has_blas()
    threads(size)
    code = load(PRODUCT, ["product"])
    multiply = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(code.address("product"))
    rng = np.random.default_rng(7)
    a = rng.standard_normal((128, 196)).astype(np.float32)
    b = rng.standard_normal((196, 256)).astype(np.float32)
    out, other = np.empty((2, 128, 256), np.float32)
    arguments = product(a, b, out)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    for _ in range(100):
        out[:] = 0
        with blas.limited():
            multiply(ctypes.byref(arguments))
        np.matmul(a, b, out=other)
        np.testing.assert_allclose(out, exact, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(other, exact, rtol=1e-3, atol=1e-4)


def test_the_pointers_are_those_that_scipy_exports() -> None:
    # All of scipy.linalg comes after its one module was loaded by itself, and still works.
    script = """
    import numpy as np
    from minigrad.compile.native.process import blas_address
    assert all(blas_address(name) for name in ("sgemm", "dgemm", "sgemv", "dgemv"))
    assert blas_address("no_such_routine") == 0
    import scipy.linalg
    import scipy.linalg.cython_blas as whole
    import ctypes
    capsule = whole.__pyx_capi__["dgemm"]
    name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(
        ("PyCapsule_GetName", ctypes.pythonapi))(capsule)
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi))(capsule, name)
    assert pointer == blas_address("dgemm")
    print(np.allclose(scipy.linalg.inv(np.eye(3) * 2), np.eye(3) / 2))
    """
    assert run_script(script) == "True"


def test_every_blas_is_held_at_one_thread() -> None:
    script = """
    import threading
    import threadpoolctl
    from minigrad.compile.native.blas import limited
    def now():
        found = threadpoolctl.threadpool_info()
        return [each["num_threads"] for each in found if each["user_api"] == "blas"]
    with limited():
        pass
    threadpoolctl.threadpool_limits(3, "blas")
    before = now()
    assert before and set(before) == {3}, before
    entered, leave = threading.Event(), threading.Event()
    def other():
        with limited():
            entered.set()
            leave.wait()
    try:
        with limited():
            assert set(now()) == {1}
            with limited():
                raise ValueError
    except ValueError:
        pass
    assert now() == before
    worker = threading.Thread(target=other)
    with limited():
        worker.start()
        entered.wait()
    assert set(now()) == {1}
    leave.set()
    worker.join()
    assert now() == before
    print("good")
    """
    pytest.importorskip("threadpoolctl")
    assert run_script(script) == "good"


@POSIX
def test_a_child_forked_inside_a_limit_is_free_of_it() -> None:
    script = """
    import os
    from minigrad.compile.native import blas
    threads = lambda: [library.get() for library in blas._libraries()]
    with blas.limited():
        pass
    before = threads()
    with blas.limited():
        child = os.fork()
        if not child:
            free = threads() == before
    if not child:
        with blas.limited():
            held = set(threads()) == {1}
        os._exit(0 if free and held and threads() == before else 1)
    print(os.waitpid(child, 0)[1], threads() == before)
    """
    assert run_script(script) == "0 True"


# --- interrupts --------------------------------------------------------------------------------


def test_polling_code_runs_to_its_end_and_lets_others_run() -> None:
    code = load(PATIENT, ["patient"])
    patient = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address("patient"))
    assert patient(1000) == 999
    seen = []
    worker = threading.Thread(target=lambda: seen.append(patient(3_000_000)))
    worker.start()
    while not seen:
        np.zeros(10)
    worker.join()
    assert seen == [2_999_999]


@POSIX
def test_control_c_ends_a_long_run() -> None:
    script = """
    import ctypes, os, signal, threading, time
    from test_native_runtime import PATIENT, load
    code = load(PATIENT, ["patient"])
    patient = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address("patient"))
    sent = []
    def kill():
        time.sleep(0.2)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    for _ in range(3):
        worker = threading.Thread(target=kill)
        worker.start()
        try:
            patient(10**15)
        except KeyboardInterrupt:
            print(time.perf_counter() - sent[-1] < 0.5)
        worker.join()
    assert patient(1000) == 999
    """
    assert run_script(script).split() == ["True"] * 3
