"""How many lines of a kind are told, and that none is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.steadiness import MOST_KINDS, WINDOW_SECONDS, Steadiness, kind_of

KIND = kind_of("groundswell.x", 30, "post %s is refused")


def play(limit: int, lines: list[tuple[float, str]]) -> tuple[list[str], int, Steadiness]:
    """What is told of lines at their times, and how many were told as held back."""
    steady, told, held, now = Steadiness(limit), [], 0, 0.0
    for pause, template in lines:
        now += pause
        held += sum(one.count for one in steady.due(now))
        kind = kind_of("groundswell.x", 30, template)
        if steady.admit(kind, now):
            told.append(template)
        else:
            steady.hold(kind, template)
    return told, held, steady


def test_beyond_the_limit_only_the_number_is_told() -> None:
    told, held, steady = play(3, [(0.0, "same")] * 4216)
    assert (len(told), held) == (3, 0)
    (one,) = steady.due(WINDOW_SECONDS)
    assert (one.count, one.seconds, one.last) == (4213, 60.0, "same")
    assert not steady.holds


def test_after_the_minute_the_first_is_told_again() -> None:
    told, held, _ = play(1, [(0.0, "same"), (1.0, "same"), (60.0, "same")])
    assert (len(told), held) == (2, 1)


def test_numbers_make_no_kind_of_their_own_and_levels_do() -> None:
    assert kind_of("a", 30, "offset 12 is lost") == kind_of("a", 30, "offset 9 is lost")
    assert kind_of("a", 30, "lost") != kind_of("a", 40, "lost") != kind_of("b", 40, "lost")


def test_zero_bounds_none() -> None:
    told, held, steady = play(0, [(0.0, "same")] * 100)
    assert (len(told), held, steady.holds) == (100, 0, False)


def test_memory_has_a_bound_and_a_new_kind_is_always_told() -> None:
    told, held, steady = play(1, [(0.0, f"kind {chr(0x4E00 + n)}") for n in range(3 * MOST_KINDS)])
    assert (len(told), held) == (3 * MOST_KINDS, 0)
    assert len(steady._windows) <= MOST_KINDS + 1


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 40), st.sampled_from(["a", "b", "c"])), max_size=200),
)
def test_every_line_is_told_or_counted(limit: int, lines: list[tuple[float, str]]) -> None:
    told, held, steady = play(limit, lines)
    left = sum(one.count for one in steady.due(0.0, all=True))
    assert len(told) + held + left == len(lines)
    assert {template for _, template in lines} <= set(told), "the first of a kind is told"
