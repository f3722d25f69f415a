"""Which events leave the log: those whose last state is past its time, whatever came before."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline.app.log_reader import LogRecord
from pipeline.app.tidying.log import note
from pipeline.core.event import Event, encode_event
from pipeline.core.post import Author, Post
from pipeline.core.retention import Expiry

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PAST = datetime(2024, 1, 5, tzinfo=UTC)
EXPIRY = Expiry(posts=datetime(2026, 1, 1, tzinfo=UTC), stubs=datetime(2026, 1, 1, tzinfo=UTC))

STATES = st.sampled_from(["old", "edited", "stub", "gone", "damaged"])


def value(state: str) -> bytes | None:
    if state in ("gone", "damaged"):
        return None if state == "gone" else b"{"
    at = PAST if state == "old" else NOW
    said = Post(id="x:1", text="a", author=Author(id="x:ann"), collected_at=at, deleted=state == "stub")
    return encode_event(Event(post=said, index="p-posts-undated", version=1, processed_at=at))


@given(st.lists(STATES, min_size=1), st.integers(0, 9))
def test_the_last_state_counts_also_where_it_came_while_the_log_was_read(
    states: list[str], first: int
) -> None:
    records = [LogRecord(0, place, 0, b"x:1", value(state)) for place, state in enumerate(states)]
    past: set[bytes] = set()
    for portion in (records[:first], records[first:]):
        note(portion, EXPIRY, past)
    assert past == ({b"x:1"} if states[-1] == "old" else set())
