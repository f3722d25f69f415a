"""Marks the authors whose posts were written, so that what is remembered of them is reckoned anew.

A mark is one small record of the authors topic: the key is the author's id. It is sent after the posts
are written, so whoever reads it and refreshes the index sees them. A deletion's stub names nobody; before
it is written, the author is looked up, and the mark is sent ahead with the ids of the posts that are about
to go: a reckoning leaves these out, whether their stubs are there yet or not. So a death between the
stub and the mark behind it costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from pipeline.app.producer import Record
from pipeline.core.errors import RejectedError
from pipeline.core.event import Event
from pipeline.core.post import MAX_ID_BYTES

Find = Callable[[Sequence[Event]], Mapping[str, str]]
"""Post id to author id, of those posts of the events that are in the index with an author."""


class Mark(Struct, frozen=True, omit_defaults=True):
    """What a mark says beside its key. ``gone``: posts of the author that are deleted, or will be at once."""

    gone: tuple[str, ...] = ()


_decode = msgspec.json.Decoder(Mark).decode
_encode = msgspec.json.Encoder().encode


def read_mark(key: bytes | None, value: bytes | None) -> tuple[str, Mark]:
    """The author's id and the mark; raises RejectedError for a record that is no mark."""
    try:
        author = (key or b"").decode()
        mark = _decode(value or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RejectedError(f"no mark of an author: {error}", "invalid") from None
    if not can_be_remembered(author):
        raise RejectedError(f"no author has an id of {len(author)} characters", "invalid")
    return author, mark


def can_be_remembered(author: str) -> bool:
    """Whether Elasticsearch takes the id of this author for that of a document."""
    return 0 < len(author.encode()) <= MAX_ID_BYTES


class AuthorMarks:
    """Makes the marks of batches of events. ``find`` looks authors up, in realtime; thread-safe if it is."""

    def __init__(self, topic: str, find: Find) -> None:
        self._topic = topic
        self._find = find

    def ahead(self, events: Sequence[Event]) -> list[Record]:
        """The marks to be confirmed before the events are written: of authors who lose posts by them.

        Asks the index where there are deletions among the events, and only then.
        """
        deletions = [event for event in events if event.post.deleted]
        if not deletions:
            return []
        gone: defaultdict[str, list[str]] = defaultdict(list)
        for post, author in self._find(deletions).items():
            gone[author].append(post)
        return self._records(gone)

    def behind(self, events: Iterable[Event], ahead: Iterable[Record]) -> list[Record]:
        """The marks to be confirmed after the events are written, one an author; `ahead` once more."""
        repeated = list(ahead)
        known = {record.key for record in repeated}
        authors = dict.fromkeys(event.post.author.id for event in events if not event.post.deleted)
        keys = [author.encode() for author in authors if can_be_remembered(author)]
        return repeated + [Record(self._topic, key, b"") for key in keys if key not in known]

    def _records(self, gone: Mapping[str, Sequence[str]]) -> list[Record]:
        return [
            Record(self._topic, author.encode(), _encode(Mark(tuple(sorted(posts)))))
            for author, posts in gone.items()
            if can_be_remembered(author)
        ]
