"""The policy of rests: they grow to a bound, and parking begins with the failure that the settings name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.rests import Rest, Rests

SECONDS = st.floats(0.1, 1e6)


def test_rests_double_up_to_the_longest_and_then_parking_begins() -> None:
    rests = Rests(0.5, 2.0, 60.0, park_after=10, parked=3600.0)
    assert [rests.after(number).seconds for number in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert not rests.after(9).parked
    assert rests.after(10) == rests.after(11) == Rest(3600.0, parked=True)


def test_refused_sign_ins_are_few() -> None:
    rests = Rests(5.0, 4.0, 1800.0, park_after=6, parked=86400.0)
    tries = [rests.after(number) for number in range(1, 7)]
    assert sum(rest.seconds for rest in tries[:5]) == 5 + 20 + 80 + 320 + 1280
    assert [rest.parked for rest in tries] == [False] * 5 + [True]


@given(st.integers(1, 10**9), SECONDS, st.floats(1, 10), SECONDS)
def test_without_a_number_nothing_is_ever_parked(
    failures: int, first: float, factor: float, longest: float
) -> None:
    rests = Rests(first, factor, longest)
    assert not rests.after(failures).parked
    assert 0 < rests.after(failures).seconds <= longest
    assert rests.after(failures).seconds <= rests.after(failures + 1).seconds


@given(st.integers(1, 100), st.integers(1, 200))
def test_parked_from_that_failure_on(park_after: int, failures: int) -> None:
    assert Rests(1.0, 2.0, 60.0, park_after, 5.0).after(failures).parked == (failures >= park_after)
