"""Whether Elasticsearch is slow, by what it answered lately."""

from __future__ import annotations

from sinks._pace import Pace


def test_who_never_answered_is_not_slow() -> None:
    assert not Pace().slow(0.1, 0.0)


def test_a_slow_answer_tells_for_a_while_and_quick_ones_do_not_hide_it() -> None:
    pace = Pace()
    pace.note(25.0, 100.0)
    for moment in range(101, 174):
        pace.note(0.01, float(moment))
        assert pace.slow(3.0, float(moment))
    assert not pace.slow(3.0, 175.0)
    assert not pace.slow(30.0, 110.0)


def test_quick_answers_alone_never_do() -> None:
    pace = Pace()
    for moment in range(1000):
        pace.note(2.9, float(moment))
        assert not pace.slow(3.0, float(moment))
    pace.note(3.0, 1000.0)
    assert pace.slow(3.0, 1001.0)
