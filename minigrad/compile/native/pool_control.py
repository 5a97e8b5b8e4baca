"""The thread pool's start and end, and how its threads sleep, in LLVM's language."""

from __future__ import annotations

from minigrad.threads import MAX_THREADS

#: In the pool's state: threads are to end.
STOP = 1 << 30

# Workers are made with all signals blocked, which they inherit: Python's handlers run elsewhere.
#: Needs the globals of `minigrad.compile.native.pool_code`.
CONTROL = f"""
define internal void @start() nounwind {{
entry:
  %all = alloca [128 x i8], align 16
  %before = alloca [128 x i8], align 16
  call i32 @sigfillset(ptr %all)
  call i32 @pthread_sigmask(i32 $SETMASK, ptr %all, ptr %before)
  %want = load atomic i32, ptr @wanted monotonic, align 4
  %most = call i32 @llvm.smin.i32(i32 %want, i32 {MAX_THREADS})
  br label %more
more:
  %have = load i32, ptr @started
  %number = add i32 %have, 1
  %lacking = icmp slt i32 %number, %most
  br i1 %lacking, label %make, label %done
make:
  %index = zext i32 %have to i64
  %thread = getelementptr i64, ptr @threads, i64 %index
  %which64 = zext i32 %number to i64
  %which = inttoptr i64 %which64 to ptr
  %failed = call i32 @pthread_create(ptr %thread, ptr null, ptr @worker, ptr %which)
  %made = icmp eq i32 %failed, 0
  br i1 %made, label %count, label %refused
count:
  store i32 %number, ptr @started
  br label %more
refused:
  ; Not asked for again at every call: fewer threads it is.
  store atomic i32 %number, ptr @wanted monotonic, align 4
  br label %done
done:
  call i32 @pthread_sigmask(i32 $SETMASK, ptr %before, ptr null)
  ret void
}}

define void @pool_resize(i32 %threads) nounwind {{
entry:
  br label %try
try:
  %pair = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %mine = extractvalue {{ i32, i1 }} %pair, 1
  br i1 %mine, label %own, label %patience
patience:
  call i32 @sched_yield()
  br label %try
own:
  %workers = load i32, ptr @started
  atomicrmw or ptr @state, i64 {STOP} seq_cst
  atomicrmw add ptr @bell, i32 1 seq_cst
  call void @wake(ptr @bell)
  br label %join
join:
  %k = phi i32 [0, %own], [%k.next, %joining]
  %any = icmp slt i32 %k, %workers
  br i1 %any, label %joining, label %joined
joining:
  %index = zext i32 %k to i64
  %thread.p = getelementptr i64, ptr @threads, i64 %index
  %thread = load i64, ptr %thread.p
  call i32 @pthread_join(i64 %thread, ptr null)
  %k.next = add i32 %k, 1
  br label %join
joined:
  store i32 0, ptr @started
  store atomic i32 %threads, ptr @wanted monotonic, align 4
  atomicrmw and ptr @state, i64 {~STOP} seq_cst
  store atomic i32 0, ptr @busy release, align 4
  ret void
}}

define void @pool_forked() nounwind {{
  store i32 0, ptr @started
  store i32 0, ptr @sleepers
  %s = load i64, ptr @state
  %generation = and i64 %s, {-1 << 32}
  store i64 %generation, ptr @state
  call void @prepare()
  store atomic i32 0, ptr @busy release, align 4
  ret void
}}

define i32 @pool_workers() nounwind {{
  %workers = load i32, ptr @started
  ret i32 %workers
}}

define void @pool_prepare(i64 %spins) nounwind {{
  store i64 %spins, ptr @spins
  call void @prepare()
  ret void
}}

define void @pool_relax(i64 %times) nounwind {{
entry:
  br label %loop
loop:
  %k = phi i64 [0, %entry], [%k.next, %loop]
  call void @relax()
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %times
  br i1 %more, label %loop, label %done
done:
  ret void
}}

declare i32 @sigfillset(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @sched_yield()
declare i64 @llvm.umax.i64(i64, i64)
declare i64 @llvm.umin.i64(i64, i64)
declare i32 @llvm.smin.i32(i32, i32)
"""

#: Linux: `$FUTEX` is the number of the system call.
FUTEX = """
declare i64 @syscall(i64, ...)
define internal void @wait(ptr %word, i32 %value) nounwind {
  %wide = zext i32 %value to i64
  call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i64 128, i64 %wide, ptr null)
  ret void
}
define internal void @wake(ptr %word) nounwind {
  call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i64 129, i64 2147483647)
  ret void
}
define internal void @prepare() nounwind {
  ret void
}
"""

# Room for any system's mutex and condition, which are prepared by the system's own functions.
CONDITION = """
@mutex = internal global [256 x i8] zeroinitializer, align 64
@condition = internal global [256 x i8] zeroinitializer, align 64
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
define internal void @wait(ptr %word, i32 %value) nounwind {
entry:
  call i32 @pthread_mutex_lock(ptr @mutex)
  br label %check
check:
  %now = load atomic i32, ptr %word seq_cst, align 4
  %same = icmp eq i32 %now, %value
  br i1 %same, label %sleep, label %done
sleep:
  call i32 @pthread_cond_wait(ptr @condition, ptr @mutex)
  br label %check
done:
  call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}
define internal void @wake(ptr %word) nounwind {
  call i32 @pthread_mutex_lock(ptr @mutex)
  call i32 @pthread_cond_broadcast(ptr @condition)
  call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}
define internal void @prepare() nounwind {
  call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  call i32 @pthread_cond_init(ptr @condition, ptr null)
  ret void
}
"""
