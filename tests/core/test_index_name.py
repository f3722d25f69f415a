"""The index of a post: its month of creation, or undated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.core.index_name import EARLIEST, SKEW, alias, holds_posts, index_of, undated

SEEN = datetime(2026, 11, 22, 12, tzinfo=UTC)
UNDATED = "groundswell-posts-undated"


@pytest.mark.parametrize(
    ("created", "index"),
    [
        (datetime(2026, 11, 1, tzinfo=UTC), "groundswell-posts-2026.11"),
        (datetime(2006, 1, 1, tzinfo=UTC), "groundswell-posts-2006.01"),
        (SEEN + timedelta(hours=23), "groundswell-posts-2026.11"),
        (None, UNDATED),
        (datetime(2005, 12, 31, 23, 59, 59, tzinfo=UTC), UNDATED),
        (datetime(1969, 7, 20, tzinfo=UTC), UNDATED),
        (SEEN + timedelta(hours=25), UNDATED),
        (datetime(2100, 1, 1, tzinfo=UTC), UNDATED),
    ],
)
def test_examples(created: datetime | None, index: str) -> None:
    assert index_of("groundswell", created, SEEN) == index


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(datetime(2006, 1, 1), timezones=st.just(UTC)))
def test_dated_only_within_bounds_and_always_behind_the_alias(created: datetime, seen: datetime) -> None:
    if seen.year > 9990:
        return
    index = index_of("p", created, seen)
    assert index.startswith(alias("p") + "-")
    assert (index != undated("p")) == (EARLIEST <= created <= seen + SKEW)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_every_index_of_ours_is_known_as_ours(created: datetime, seen: datetime) -> None:
    assume(seen < datetime.max.replace(tzinfo=UTC) - SKEW)
    assert holds_posts("groundswell", index_of("groundswell", created, seen))


@pytest.mark.parametrize(
    "name",
    [
        # Of an installation whose prefix is groundswell-posts.
        "groundswell-posts-posts-2024.01",
        "groundswell-posts-cases",
        "groundswell-posts-2024.01-kept-for-the-court",
        "groundswell-posts-2024.13",
        "groundswell-posts-",
        "other-posts-2024.01",
    ],
)
def test_an_index_of_somebody_else_is_not_ours_to_drop(name: str) -> None:
    assert not holds_posts("groundswell", name)
