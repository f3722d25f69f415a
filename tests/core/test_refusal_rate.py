"""When refusals are too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.refusal_rate import RefusalRate


def test_few_records_say_nothing_and_a_whole_window_does() -> None:
    rate = RefusalRate(0.5, window=10)
    rate.note(9, 9)
    assert rate.excess == ""
    rate.note(1, 0)
    assert rate.excess == "9 of the last 10 records were refused (90 %)"
    rate.note(8, 0)
    assert rate.excess == "", "the nine are behind the window"


def test_a_limit_of_one_bears_everything() -> None:
    rate = RefusalRate(1.0, window=10)
    rate.note(100, 100)
    assert rate.excess == ""


@given(
    st.lists(st.tuples(st.integers(1, 7), st.integers(0, 7)), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.25, 0.5, 0.9]),
)
def test_it_is_the_share_of_the_last_batches_that_fill_the_window(
    batches: list[tuple[int, int]], limit: float
) -> None:
    rate = RefusalRate(limit, window=12)
    batches = [(records, min(records, refused)) for records, refused in batches]
    for records, refused in batches:
        rate.note(records, refused)
    taken: list[tuple[int, int]] = []
    for batch in reversed(batches):
        if sum(records for records, _ in taken) >= 12:
            break
        taken.append(batch)
    records, refused = (sum(column) for column in zip(*taken, strict=True))
    assert bool(rate.excess) == (records >= 12 and refused > limit * records)
