"""What was on its way has come to rest: from offsets alone, and without waiting for a whole backlog."""

from __future__ import annotations

from pipeline.app.directory.settling import in_hand, published, reached
from pipeline.app.offsets import Span


def test_only_what_can_be_in_hand_is_waited_for() -> None:
    progress = {0: Span(0, 1_000_000, 400), 1: Span(10, 30, 10), 2: Span(0, 0, 0)}
    goals = in_hand(progress, 100)
    assert goals == {0: 500, 1: 30, 2: 0}
    assert not reached(progress, goals)
    assert not reached({**progress, 0: Span(0, 1_000_000, 500)}, goals)
    assert reached({0: Span(0, 1_000_000, 500), 1: Span(10, 90, 30), 2: Span(0, 5, 0)}, goals)


def test_all_that_is_published_is_waited_for() -> None:
    assert published({0: Span(3, 9, 4), 1: Span(0, 0, 0)}) == {0: 9, 1: 0}
