"""Where intermediate values lie, and memory that is used again."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minigrad.compile.arena import ALIGNMENT, Lifetime, overlaps, plan_arena
from minigrad.compile.recycling import GroupRecycler, Recycler, empty_together

spans = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)


@given(st.lists(st.tuples(spans, st.integers(0, 1000)), max_size=30))
def test_values_alive_together_do_not_overlap(drawn):
    lifetimes = [Lifetime(i, size, *span) for i, (span, size) in enumerate(drawn)]
    arena = plan_arena(lifetimes)
    assert not overlaps(lifetimes, arena)
    for value in lifetimes:
        assert arena.offsets[value.key] % ALIGNMENT == 0
        assert arena.offsets[value.key] + value.size <= arena.size


def test_a_chain_needs_two_places():
    arena = plan_arena([Lifetime(i, 640, i, i + 1) for i in range(100)])
    assert arena.size == 2 * 640


def test_a_dropped_array_is_given_again():
    recycler = Recycler((100, 100), np.dtype("float32"))
    first = recycler.take()
    address = first.ctypes.data
    second = recycler.take()
    assert second.ctypes.data != address
    del first
    assert recycler.take().ctypes.data == address


def test_an_array_that_somebody_looks_into_is_not_given_again():
    recycler = Recycler((100,), np.dtype("float64"))
    view = recycler.take()[10:]
    kept = memoryview(recycler.take())
    taken = [recycler.take() for _ in range(5)]
    for array in taken:
        assert not np.shares_memory(array, view)
        assert not np.shares_memory(array, np.asarray(kept))


def test_an_array_that_its_owner_has_changed_is_not_given_again():
    recycler = Recycler((6,), np.dtype("float64"))
    array = recycler.take()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        array.shape = (2, 3)
    del array
    frozen = recycler.take()
    frozen.flags.writeable = False
    del frozen
    for _ in range(4):
        array = recycler.take()
        assert array.shape == (6,) and array.flags.writeable


def test_arrays_of_a_group_come_back_when_all_are_free():
    recycler = GroupRecycler([((4,), np.dtype("float32")), ((), np.dtype("int64"))])
    first = recycler.take()
    ids = [id(array) for array in first]
    second = recycler.take()
    assert not set(ids) & {id(array) for array in second}
    held = first[0]
    del first
    third = recycler.take()
    assert id(held) not in [id(array) for array in third]
    del held
    assert ids in ([id(a) for a in recycler.take()], [id(a) for a in recycler.take()])


@given(
    st.lists(st.sampled_from([1, 100, 1 << 16, 1 << 18, 1 << 19, 1 << 20]), max_size=14),
    st.sampled_from(["float32", "int8"]),
)
def test_arrays_in_one_piece_of_memory_do_not_overlap(sizes, dtype):
    arrays = empty_together([((size, 1), np.dtype(dtype)) for size in sizes])
    assert [(a.shape, a.dtype) for a in arrays] == [((size, 1), dtype) for size in sizes]
    assert all(a.flags.writeable and a.flags.c_contiguous and a.flags.aligned for a in arrays)
    places = sorted([(a.ctypes.data, a.ctypes.data + a.nbytes) for a in arrays])
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(places))
    shared = [a for a in arrays if a.base is not None]
    assert all(a.ctypes.data % 64 == 0 and a.nbytes < 1 << 22 for a in shared)
    small = [a for a in arrays if a.nbytes < 1 << 22]
    assert len(shared) == (len(small) if sum([a.nbytes for a in small]) >= 1 << 22 else 0)


def test_a_large_array_has_memory_of_its_own():
    arrays = empty_together([((n << 20,), np.dtype("int8")) for n in (2, 4, 2, 3, 1)])
    pieces = [None if a.base is None else id(a.base) for a in arrays]
    assert pieces[1] is None
    assert pieces[0] == pieces[2] is not None
    assert pieces[3] == pieces[4] is not None
    assert len(set(pieces)) == 3
