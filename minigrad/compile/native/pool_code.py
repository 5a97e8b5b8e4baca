"""The thread pool itself, in LLVM's language.

One 64-bit word says it all: a generation in its upper half, below it whether the pool is to stop,
whether a job is open, and how many workers have entered the job. A worker enters by one
compare-and-swap; the caller closes the job when all its units have been taken and waits for those
who entered, so a worker that slept too long is never waited for. Units lie in one share for each
thread, so that a thread meets the data it had in its cache; who is done takes from the others'.
"""

from __future__ import annotations

from minigrad.compile.native.pool_control import CONDITION, CONTROL, FUTEX, STOP
from minigrad.threads import MAX_THREADS

_OPEN = 1 << 31
_ENTERED = (1 << 16) - 1

# Each word that one thread writes and another one reads lies in cache lines of its own.
_STATE = f"""
%share = type {{ i64, i64, [14 x i64] }}
@state = internal global i64 0, align 128
@busy = internal global i32 0, align 128
@finished = internal global i32 0, align 128
@waiting = internal global i32 0, align 128
@bell = internal global i32 0, align 128
@sleepers = internal global i32 0, align 128
@wanted = internal global i32 1, align 128
@started = internal global i32 0
@spins = internal global i64 0
@task = internal global ptr null, align 128
@arguments = internal global ptr null
@smallest = internal global i64 1
@sharing = internal global i64 1
@shares = internal global [{MAX_THREADS} x %share] zeroinitializer, align 128
@threads = internal global [{MAX_THREADS} x i64] zeroinitializer
"""

# Half of what is left of a share at a time: few calls, and little left to wait for at the end.
_WORK = """
define internal void @work(i64 %self) nounwind {
entry:
  %task = load ptr, ptr @task
  %arguments = load ptr, ptr @arguments
  %smallest = load i64, ptr @smallest
  %count = load i64, ptr @sharing
  %home = urem i64 %self, %count
  br label %victim
victim:
  %tried = phi i64 [0, %entry], [%tried.next, %exhausted]
  %at = phi i64 [%home, %entry], [%at.next, %exhausted]
  %next.p = getelementptr %share, ptr @shares, i64 %at
  %end.p = getelementptr %share, ptr @shares, i64 %at, i32 1
  %end = load i64, ptr %end.p
  br label %take
take:
  %lo = load atomic i64, ptr %next.p monotonic, align 8
  %left = sub i64 %end, %lo
  %none = icmp sle i64 %left, 0
  br i1 %none, label %exhausted, label %some
some:
  %more = add i64 %left, 1
  %half = lshr i64 %more, 1
  %atleast = call i64 @llvm.umax.i64(i64 %half, i64 %smallest)
  %amount = call i64 @llvm.umin.i64(i64 %atleast, i64 %left)
  %hi = add i64 %lo, %amount
  %pair = cmpxchg ptr %next.p, i64 %lo, i64 %hi monotonic monotonic
  %ok = extractvalue { i64, i1 } %pair, 1
  br i1 %ok, label %run, label %take
run:
  call void %task(ptr %arguments, i64 %lo, i64 %hi)
  br label %take
exhausted:
  %tried.next = add i64 %tried, 1
  %at.up = add i64 %at, 1
  %over = icmp eq i64 %at.up, %count
  %at.next = select i1 %over, i64 0, i64 %at.up
  %again = icmp ult i64 %tried.next, %count
  br i1 %again, label %victim, label %done
done:
  ret void
}
"""

_WORKER = f"""
define internal ptr @worker(ptr %which) nounwind {{
entry:
  %self = ptrtoint ptr %which to i64
  br label %awake
awake:
  %seen = phi i64 [0, %entry], [%seen, %slept], [%generation, %left]
  br label %spin
spin:
  %spun = phi i64 [0, %awake], [%spun.next, %idle]
  %s = load atomic i64, ptr @state seq_cst, align 8
  %generation = lshr i64 %s, 32
  %stopping = and i64 %s, {STOP}
  %stop = icmp ne i64 %stopping, 0
  br i1 %stop, label %end, label %look
look:
  %opened = and i64 %s, {_OPEN}
  %open = icmp ne i64 %opened, 0
  %new = icmp ne i64 %generation, %seen
  %job = and i1 %open, %new
  br i1 %job, label %enter, label %idle
enter:
  %s.in = add i64 %s, 1
  %pair = cmpxchg ptr @state, i64 %s, i64 %s.in seq_cst seq_cst
  %in = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %in, label %inside, label %idle
inside:
  call void @work(i64 %self)
  atomicrmw add ptr @finished, i32 1 seq_cst
  %w = load atomic i32, ptr @waiting seq_cst, align 4
  %awaited = icmp ne i32 %w, 0
  br i1 %awaited, label %ring, label %left
ring:
  call void @wake(ptr @finished)
  br label %left
left:
  br label %awake
idle:
  call void @relax()
  %spun.next = add i64 %spun, 1
  %limit = load i64, ptr @spins
  %tired = icmp ugt i64 %spun.next, %limit
  br i1 %tired, label %park, label %spin
park:
  atomicrmw add ptr @sleepers, i32 1 seq_cst
  %b = load atomic i32, ptr @bell seq_cst, align 4
  %s2 = load atomic i64, ptr @state seq_cst, align 8
  %generation2 = lshr i64 %s2, 32
  %stopping2 = and i64 %s2, {STOP}
  %stop2 = icmp ne i64 %stopping2, 0
  %opened2 = and i64 %s2, {_OPEN}
  %open2 = icmp ne i64 %opened2, 0
  %new2 = icmp ne i64 %generation2, %seen
  %job2 = and i1 %open2, %new2
  %stay = or i1 %stop2, %job2
  br i1 %stay, label %slept, label %sleep
sleep:
  call void @wait(ptr @bell, i32 %b)
  br label %slept
slept:
  atomicrmw sub ptr @sleepers, i32 1 seq_cst
  br label %awake
end:
  ret ptr null
}}
"""

_PARALLEL = f"""
define void @mg_parallel(ptr %task, ptr %arguments, i64 %units) nounwind {{
entry:
  %few = icmp sle i64 %units, 1
  br i1 %few, label %serial, label %many
many:
  %wanted = load atomic i32, ptr @wanted monotonic, align 4
  %alone = icmp sle i32 %wanted, 1
  br i1 %alone, label %serial, label %try
try:
  %pair = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %mine = extractvalue {{ i32, i1 }} %pair, 1
  br i1 %mine, label %own, label %serial
own:
  %want = load atomic i32, ptr @wanted monotonic, align 4
  %have = load i32, ptr @started
  %had = add i32 %have, 1
  %lacking = icmp slt i32 %had, %want
  br i1 %lacking, label %grow, label %deal
grow:
  call void @start()
  br label %deal
deal:
  %workers = load i32, ptr @started
  %team = add i32 %workers, 1
  %team64 = zext i32 %team to i64
  %count = call i64 @llvm.umin.i64(i64 %team64, i64 %units)
  %share = udiv i64 %units, %count
  %extra = urem i64 %units, %count
  %eighth = lshr i64 %share, 3
  %smallest = call i64 @llvm.umax.i64(i64 %eighth, i64 1)
  store ptr %task, ptr @task
  store ptr %arguments, ptr @arguments
  store i64 %smallest, ptr @smallest
  store i64 %count, ptr @sharing
  store i32 0, ptr @finished
  store i32 0, ptr @waiting
  br label %cut
cut:
  %k = phi i64 [0, %deal], [%k.next, %cut]
  %from = phi i64 [0, %deal], [%to, %cut]
  %long = icmp ult i64 %k, %extra
  %one = zext i1 %long to i64
  %size = add i64 %share, %one
  %to = add i64 %from, %size
  %next.p = getelementptr %share, ptr @shares, i64 %k
  %end.p = getelementptr %share, ptr @shares, i64 %k, i32 1
  store i64 %from, ptr %next.p
  store i64 %to, ptr %end.p
  %k.next = add i64 %k, 1
  %cutting = icmp ult i64 %k.next, %count
  br i1 %cutting, label %cut, label %open
open:
  %old = load atomic i64, ptr @state monotonic, align 8
  %generation = lshr i64 %old, 32
  %generation.next = add i64 %generation, 1
  %upper = shl i64 %generation.next, 32
  %opened = or i64 %upper, {_OPEN}
  store atomic i64 %opened, ptr @state seq_cst, align 8
  %sleeping = load atomic i32, ptr @sleepers seq_cst, align 4
  %asleep = icmp ne i32 %sleeping, 0
  br i1 %asleep, label %call, label %work
call:
  atomicrmw add ptr @bell, i32 1 seq_cst
  call void @wake(ptr @bell)
  br label %work
work:
  call void @work(i64 0)
  %closing = atomicrmw and ptr @state, i64 {~_OPEN} seq_cst
  %entered64 = and i64 %closing, {_ENTERED}
  %entered = trunc i64 %entered64 to i32
  %patience = load i64, ptr @spins
  br label %check
check:
  %spun = phi i64 [0, %work], [%spun.next, %again]
  %done = load atomic i32, ptr @finished seq_cst, align 4
  %all = icmp eq i32 %done, %entered
  br i1 %all, label %over, label %again
again:
  call void @relax()
  %spun.next = add i64 %spun, 1
  %tired = icmp ugt i64 %spun.next, %patience
  br i1 %tired, label %doze, label %check
doze:
  store atomic i32 1, ptr @waiting seq_cst, align 4
  br label %dozing
dozing:
  %f = load atomic i32, ptr @finished seq_cst, align 4
  %finally = icmp eq i32 %f, %entered
  br i1 %finally, label %over, label %sleep
sleep:
  call void @wait(ptr @finished, i32 %f)
  br label %dozing
over:
  store atomic i32 0, ptr @busy release, align 4
  ret void
serial:
  %any = icmp sgt i64 %units, 0
  br i1 %any, label %straight, label %nothing
straight:
  call void %task(ptr %arguments, i64 0, i64 %units)
  br label %nothing
nothing:
  ret void
}}
"""

_SERIAL = """
define void @mg_parallel(ptr %task, ptr %arguments, i64 %units) nounwind {
entry:
  %any = icmp sgt i64 %units, 0
  br i1 %any, label %all, label %nothing
all:
  call void %task(ptr %arguments, i64 0, i64 %units)
  ret void
nothing:
  ret void
}
define void @pool_resize(i32 %threads) nounwind {
  ret void
}
define void @pool_forked() nounwind {
  ret void
}
define i32 @pool_workers() nounwind {
  ret i32 0
}
define void @pool_prepare(i64 %spins) nounwind {
  ret void
}
define void @pool_relax(i64 %times) nounwind {
  ret void
}
"""

# How a waiting core is told to let the other one of its pair, or its power meter, have a rest.
_RELAX = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}
_FUTEX_NUMBER = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}

#: The functions that `pool_code` defines.
NAMES = (
    "mg_parallel",
    "pool_resize",
    "pool_forked",
    "pool_workers",
    "pool_prepare",
    "pool_relax",
)


def pool_code(system: str, processor: str, futex: bool = True) -> str:
    """The pool's module for ``sys.platform`` and ``platform.machine()``.

    Threads sleep in Linux's futex, elsewhere (or with `futex` off) on a condition of pthreads.
    Where there are no pthreads, on Windows, all work is done by the thread that calls.
    """
    processor = {"amd64": "x86_64", "arm64": "aarch64"}.get(processor.lower(), processor.lower())
    if system == "win32":
        return _SERIAL
    number = _FUTEX_NUMBER.get(processor) if system == "linux" and futex else None
    sleep = CONDITION if number is None else FUTEX.replace("$FUTEX", str(number))
    declaration, call = _RELAX.get(processor, ("", ""))
    relax = f"""
{declaration}
define internal void @relax() alwaysinline nounwind {{
  {call}
  ret void
}}
"""
    control = CONTROL.replace("$SETMASK", "3" if system == "darwin" else "2")
    return _STATE + _WORK + _WORKER + _PARALLEL + control + sleep + relax
