"""A process that looked up where posts live, was frozen, and writes once it goes on: another has gone on with
its partition meanwhile, and has cut the log into other batches."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MAY = datetime(2026, 5, 3, tzinfo=UTC)
LATER = datetime(2026, 5, 4, tzinfo=UTC)
STATES: dict[str, dict[str, Any]] = {
    "undated": {},
    "dated": {"created_at": MAY},
    "undated edit": {"edited_at": LATER},
    "dated edit": {"created_at": MAY, "edited_at": LATER},
    "bare deletion": {"deleted": True},
    "dated deletion": {"created_at": MAY, "deleted": True},
}


def thaws_late(store: Any, proxy: Any, events: list[Any], frozen: slice, others: list[slice]) -> list[str]:
    """The indices of a post after one has frozen with some of its states in hand, before its write, and
    another has written them all, as batches of its own."""

    def freeze(path: str, _: bytes) -> None:
        if "_bulk" in path:
            proxy.behaviour = lambda *_: None
            another = store.another()
            for portion in others:
                another.write(events[portion])

    store.proxied.write(events[: frozen.start])
    proxy.behaviour = freeze
    assert store.proxied.write(events[frozen]) == [None] * len(events[frozen])
    hits = store.stored()[events[0].post.id]
    assert max(hit["_version"] for hit in hits) == max(event.version for event in events)
    return [hit["_index"] for hit in hits]


@pytest.mark.parametrize("first", ["undated", "undated edit", "bare deletion"])
@pytest.mark.parametrize("second", ["dated", "dated edit", "dated deletion"])
def test_a_post_whose_date_comes_later_stays_in_one_index(
    store: Any, proxy: Any, first: str, second: str
) -> None:
    events = [store.event(**STATES[first]), store.event(**STATES[second])]
    found = thaws_late(store, proxy, events, slice(0, 1), [slice(0, 2)])
    assert len(found) == 1, found


@pytest.fixture(scope="module")
def run() -> list[int]:
    """Counts examples, so that each has a post of its own in the same indices."""
    return [0]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(states=st.lists(st.sampled_from(sorted(STATES)), min_size=1, max_size=5), data=st.data())
def test_wherever_it_froze_and_however_the_other_went_on(
    store: Any, proxy: Any, run: list[int], states: list[str], data: Any
) -> None:
    run[0] += 1
    events = [store.event(f"x:{run[0]}", **STATES[state]) for state in states]
    end = len(states)
    start = data.draw(st.integers(0, end - 1))
    after = data.draw(st.integers(start + 1, end))
    # What was confirmed before is not read again; of what was not, some may be in the index.
    resumes = data.draw(st.integers(0, start))
    cuts = data.draw(st.sets(st.integers(resumes + 1, end - 1))) if resumes + 1 < end else set()
    places = [resumes, *sorted(cuts), end]
    others = [slice(*pair) for pair in pairwise(places)]
    found = thaws_late(store, proxy, events, slice(start, after), others)
    assert len(found) == 1, found
