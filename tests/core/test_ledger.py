"""Laws of the ledger: in whatever order it is confirmed, only a contiguous prefix is committable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.ledger import Lane

# Gap before each batch (compaction, transaction markers), and its length.
BATCHES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=12)


def spread(shapes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """First and after-last offset of each batch."""
    spans, at = [], 0
    for gap, length in shapes:
        spans.append((at + gap, at + gap + length))
        at += gap + length
    return spans


@given(BATCHES, st.data())
def test_commits_exactly_the_confirmed_prefix_in_any_order_of_confirmation(
    shapes: list[tuple[int, int]], data: st.DataObject
) -> None:
    spans = spread(shapes)
    lane = Lane()
    entries = [lane.begin(*span) for span in spans]
    confirmed: set[int] = set()
    for place in data.draw(st.permutations(range(len(spans)))):
        lane.confirm(entries[place])
        confirmed.add(place)
        prefix = next((n for n in range(len(spans)) if n not in confirmed), len(spans))
        assert lane.committable == (spans[prefix - 1][1] if prefix else None)
        assert lane.oldest == (spans[prefix][0] if prefix < len(spans) else None)
    assert lane.open == 0


@given(BATCHES, st.data())
def test_what_never_gets_confirmed_is_never_passed(
    shapes: list[tuple[int, int]], data: st.DataObject
) -> None:
    spans = spread(shapes)
    lane = Lane()
    entries = [lane.begin(*span) for span in spans]
    lost = data.draw(st.integers(0, len(spans) - 1))
    for place in data.draw(st.permutations(range(len(spans)))):
        if place != lost:
            lane.confirm(entries[place])
            lane.confirm(entries[place])
    assert (lane.committable or 0) <= spans[lost][0]
    assert lane.oldest == spans[lost][0]


@given(BATCHES, st.data())
def test_batches_that_begin_while_others_are_confirmed_keep_the_law(
    shapes: list[tuple[int, int]], data: st.DataObject
) -> None:
    lane = Lane()
    waiting = []
    seen = 0
    for first, after in spread(shapes):
        waiting.append((lane.begin(first, after), first))
        if waiting and data.draw(st.booleans()):
            entry, _ = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            lane.confirm(entry)
        committable = lane.committable or 0
        assert committable >= seen, "an offset once committable stays so"
        seen = committable
        assert all(committable <= first for _, first in waiting)


def test_a_batch_that_goes_back_or_overlaps_is_refused() -> None:
    lane = Lane()
    lane.begin(10, 20)
    for first, after in [(5, 8), (19, 25), (30, 30)]:
        with pytest.raises(ValueError):
            lane.begin(first, after)


def test_taken_counts_batches_in_hand_only() -> None:
    lane = Lane()
    first, second = lane.begin(0, 5), lane.begin(5, 9)
    assert lane.taken == 0
    first.taken = second.taken = True
    lane.confirm(second)
    assert lane.taken == 1
    lane.confirm(first)
    assert (lane.taken, lane.committable) == (0, 9)


@given(BATCHES, st.integers(0, 5), st.data())
def test_what_is_passed_over_is_committable_once_all_before_it_is_confirmed(
    shapes: list[tuple[int, int]], gap: int, data: st.DataObject
) -> None:
    lane = Lane()
    entries = [lane.begin(*span) for span in spread(shapes)]
    end = spread(shapes)[-1][1]
    lane.pass_over(end + gap)
    assert lane.after == end + gap
    for place in data.draw(st.permutations(range(len(entries)))):
        assert (lane.committable or 0) < end
        lane.confirm(entries[place])
    assert lane.committable == end + gap
    assert lane.open == 0


def test_a_lane_may_begin_with_nothing_to_fetch() -> None:
    lane = Lane()
    lane.pass_over(7)
    assert (lane.committable, lane.after, lane.waiting, lane.taken) == (7, 7, [], 0)
    lane.pass_over(3)
    assert lane.committable == 7, "never backwards"
    lane.begin(7, 9)
    assert lane.committable == 7


def test_waiting_are_those_that_nobody_ever_took() -> None:
    lane = Lane()
    first, second = lane.begin(0, 5), lane.begin(5, 9)
    lane.pass_over(12)
    assert lane.waiting == [first, second]
    first.handed = True
    assert lane.waiting == [second]
