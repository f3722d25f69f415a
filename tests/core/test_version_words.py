"""A version reads back into what it was made of, as exactly as it holds it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.post import Author, Post
from pipeline.core.version import MAX_OPERATION, version_of
from pipeline.core.version_words import parts_of

CREATED = datetime(2026, 11, 22, tzinfo=UTC)
AUTHOR = Author(id="x:a")
years = st.timedeltas(timedelta(0), timedelta(days=365 * 40))


@given(st.none() | years, st.none() | years, st.integers(0, MAX_OPERATION))
def test_the_parts_are_those_of_the_post(
    edit: timedelta | None, age: timedelta | None, operation: int
) -> None:
    edited = None if edit is None else CREATED + edit
    collected = None if age is None else (edited or CREATED) + age
    post = Post(
        id="x:1", text="", author=AUTHOR, created_at=CREATED, edited_at=edited, collected_at=collected
    )
    parts = parts_of(version_of(post, operation))
    assert parts.operation == operation
    assert not parts.deleted
    if edited is None:
        assert parts.edited_at is None
    else:
        assert parts.edited_at is not None
        assert timedelta(0) <= edited - parts.edited_at < timedelta(seconds=1 / 256 + 1e-6)
    if not age:
        assert parts.seen_after is None
    else:
        assert parts.seen_after is not None
        low, high = parts.seen_after
        assert low * 0.999 - 1e-6 <= age.total_seconds()
        assert age.total_seconds() <= high * 1.001 + 1e-6 or high > 60 * 365 * 86400


def test_a_deletion_says_so() -> None:
    parts = parts_of(version_of(Post(id="x:1", text="", deleted=True)))
    assert (parts.deleted, parts.edited_at, parts.operation, parts.seen_after) == (True, None, 0, None)
