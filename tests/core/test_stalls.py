"""When a partition counts as standing still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.stalls import Progress, Stalls

A, B = ("posts", 0), ("posts", 1)


def test_only_the_partition_that_does_not_move_is_told() -> None:
    stalls = Stalls()
    assert stalls.look({A: Progress(0, 9), B: Progress(0, 9)}, False, 100.0) == {A: 0.0, B: 0.0}
    assert stalls.look({A: Progress(1, 9), B: Progress(0, 9)}, False, 130.0) == {A: 0.0, B: 30.0}
    assert stalls.look({A: Progress(2, 9), B: Progress(0, 12)}, False, 170.0) == {A: 0.0, B: 70.0}


def test_who_has_nothing_left_or_waits_for_another_does_not_stand_still() -> None:
    stalls = Stalls()
    stalls.look({A: Progress(9, 9), B: Progress(3, 9)}, False, 0.0)
    assert stalls.look({A: Progress(9, 9), B: Progress(3, 9)}, True, 500.0) == {}
    assert stalls.look({A: Progress(9, 10), B: Progress(3, 9)}, False, 600.0) == {A: 0.0, B: 0.0}
    assert stalls.look({A: Progress(9, 10), B: Progress(3, 9)}, False, 660.0) == {A: 60.0, B: 60.0}


def test_a_partition_that_comes_back_begins_anew() -> None:
    stalls = Stalls()
    stalls.look({A: Progress(3, 9)}, False, 0.0)
    stalls.look({}, False, 100.0)
    assert stalls.look({A: Progress(3, 9)}, False, 200.0) == {A: 0.0}
    stalls.forget()
    assert stalls.look({A: Progress(3, 9)}, False, 900.0) == {A: 0.0}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans(), st.integers(0, 50)), max_size=40)
)
def test_the_time_told_is_that_since_the_last_movement(ticks: list[tuple[int, int, bool, int]]) -> None:
    """Against a plain reckoning over the whole history."""
    stalls = Stalls()
    now = 0.0
    history: list[tuple[float, int, bool]] = []
    for done, left, held, step in ticks:
        now += step
        history.append((now, done, left > 0 and not held))
        found = stalls.look({A: Progress(done, done + left)}, held, now)
        if not history[-1][2]:
            assert found == {}
            continue
        begin = now
        for moment, before, counted in reversed(history):
            if not counted or before != done:
                break
            begin = moment
        assert found == {A: now - begin}
