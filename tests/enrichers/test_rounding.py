"""The fast ways to round give what Python's own gives."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from enrichers._rounding import rounded_3, rounded_4


@given(st.floats(0, 1000))
def test_three_places(number: float) -> None:
    assert rounded_3(number) == round(number, 3)


@given(st.floats(-100, 100))
def test_four_places(number: float) -> None:
    assert rounded_4(number) == round(number, 4)


@given(st.integers(-(10**6), 10**6), st.integers(-3, 3))
def test_in_the_middle_and_beside_it(halves: int, steps: int) -> None:
    number = (halves + 0.5) / 10000
    for _ in range(abs(steps)):
        number = math.nextafter(number, math.copysign(math.inf, steps))
    assert rounded_4(number) == round(number, 4)
    number = abs(halves + 0.5) / 1000
    for _ in range(abs(steps)):
        number = math.nextafter(number, math.copysign(math.inf, steps))
    assert rounded_3(number) == round(number, 3)


def test_shares_of_counts() -> None:
    for whole in range(1, 300):
        for part in range(whole + 1):
            assert rounded_3(part / whole) == round(part / whole, 3)
            assert rounded_4(part / whole) == round(part / whole, 4)
