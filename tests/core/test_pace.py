"""How fast posts are enriched once more: never above the rate, slower as soon as answers are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.pace import LEAST, SLOW_SECONDS, Distance, Pace


@given(st.floats(0.1, 1e5), st.lists(st.floats(0, 30), max_size=60))
def test_in_any_weather_the_rate_is_held(rate: float, answers: list[float]) -> None:
    pace, now, sent = Pace(rate), 0.0, 0
    for answer in answers:
        now += pace.wait(now)
        portion = pace.portion
        pace.sent(portion, now)
        sent += portion
        now += answer
        pace.heard(answer)
        assert 1 <= pace.portion <= max(min(rate, max(rate / 20, 10)), 1)
        assert min(rate, LEAST) <= pace.rate <= rate * 1.000001
    now += pace.wait(now)
    assert sent <= now * rate * 1.000001


def test_slow_answers_halve_it_and_quick_ones_bring_it_back() -> None:
    pace = Pace(400)
    assert pace.rate == 100
    for _ in range(100):
        pace.heard(0.02)
    assert pace.rate == 400
    pace.heard(SLOW_SECONDS * 2)
    assert pace.rate == 200
    for _ in range(30):
        pace.heard(9)
    assert pace.rate == LEAST


def test_a_reader_is_as_far_behind_as_the_oldest_end_that_it_has_not_confirmed() -> None:
    distance = Distance()
    assert distance.look(0, {0: 10, 1: 5}, {0: 10, 1: 5}) == 0
    assert distance.look(1, {0: 20, 1: 5}, {0: 10, 1: 5}) == 0
    assert distance.look(3, {0: 30, 1: 5}, {0: 19, 1: 5}) == 2
    assert distance.look(4, {0: 30, 1: 5}, {0: 25, 1: 5}) == 1
    assert distance.look(5, {0: 30, 1: 6}, {0: 30, 1: 5}) == 0
    assert distance.look(6, {0: 30, 1: 6}, {0: 30, 1: 5}) == 1
