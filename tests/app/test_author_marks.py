"""Marks of authors: whom a batch marks, when the index is asked, and what a mark says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from pipeline.app.authors.marks import AuthorMarks, Mark, read_mark
from pipeline.app.producer import Record
from pipeline.core.errors import RejectedError
from pipeline.core.event import Event
from pipeline.core.post import Author, Post
from pipeline.core.version import version_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def event(id: str, author: str = "", *, deleted: bool = False) -> Event:
    post = Post(id=id, text="" if deleted else "hello", author=Author(id=author), deleted=deleted)
    return Event(post=post, index="i", version=version_of(post), processed_at=NOW)


def marks_of(**authors: str) -> AuthorMarks:
    """Marks for an index that holds these posts (x:NAME) of these authors."""

    def find(events: Sequence[Event]) -> Mapping[str, str]:
        ids = [event.post.id for event in events]
        return {id: authors[id[2:]] for id in ids if id[2:] in authors}

    return AuthorMarks("marks", find)


def read(records: Sequence[Record]) -> dict[str, tuple[str, ...]]:
    assert {record.topic for record in records} <= {"marks"}
    found = [read_mark(record.key, record.value) for record in records]
    assert len({author for author, _ in found}) == len(found), "one mark an author"
    return {author: mark.gone for author, mark in found}


def test_a_batch_without_deletions_asks_nothing() -> None:
    def find(_: Sequence[Event]) -> Mapping[str, str]:
        raise AssertionError("nobody should be looked up")

    marks = AuthorMarks("marks", find)
    events = [event("x:1", "x:a"), event("x:2", "x:b"), event("x:3", "x:a")]
    assert marks.ahead(events) == []
    assert read(marks.behind(events, [])) == {"x:a": (), "x:b": ()}


def test_the_author_of_a_deleted_post_is_marked_before_and_after() -> None:
    marks = marks_of(**{"1": "x:a", "2": "x:a", "3": "x:b"})
    events = [
        event("x:2", deleted=True),
        event("x:1", deleted=True),
        event("x:9", "x:a"),
        event("x:8", "x:c"),
    ]
    ahead = marks.ahead(events)
    assert read(ahead) == {"x:a": ("x:1", "x:2")}
    assert read(marks.behind(events, ahead)) == {"x:a": ("x:1", "x:2"), "x:c": ()}


def test_a_deletion_of_a_post_that_nobody_knows_marks_nobody() -> None:
    events = [event("x:7", deleted=True)]
    assert marks_of().ahead(events) == []
    assert marks_of().behind(events, []) == []


def test_an_author_whose_id_no_document_can_have_is_not_marked() -> None:
    longest = "x:" + "é" * 255
    events = [event("x:1", longest), event("x:2", longest + "é"), event("x:3", "x:" + "a" * 600)]
    assert read(marks_of().behind(events, [])) == {longest: ()}


@pytest.mark.parametrize(
    ("key", "value"),
    [(None, b""), (b"", b""), (b"x:a", b"{"), (b"x:a", b'{"gone": 1}'), (b"\xff", b""), (b"a" * 513, b"")],
)
def test_what_is_no_mark_is_refused(key: bytes | None, value: bytes) -> None:
    with pytest.raises(RejectedError):
        read_mark(key, value)


def test_a_mark_may_be_empty() -> None:
    assert read_mark(b"x:a", None) == read_mark(b"x:a", b"") == ("x:a", Mark())
