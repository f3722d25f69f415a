"""What the pump does when a connector brings what it should not."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from pipeline.app.collect import Pump
from pipeline.app.producer import Record
from pipeline.app.topics import MAX_RECORD_BYTES, topics_of
from pipeline.core.errors import RetryableError
from pipeline.core.post import Author, Post
from pipeline.core.protocols import Cursor, Read
from pipeline.core.rejection import decode_rejection
from pipeline.core.settings import KafkaSettings

TOPICS = topics_of(KafkaSettings())


class Rests(threading.Event):
    """Counts what is waited for, waits for none of it, and is set after the fifth."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        if len(self.pauses) == 5:
            self.set()
        return self.is_set()


class Kept:
    """In place of a producer: keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def send(self, records: Sequence[Record]) -> Future[None]:
        self.records += records
        done: Future[None] = Future()
        done.set_result(None)
        return done


class Busy:
    """Says every time that it may be asked again after so many seconds."""

    def __init__(self, retry_after: float | None) -> None:
        self._retry_after = retry_after

    def read(self, cursor: Cursor | None) -> Read:
        del cursor
        raise RetryableError("busy", self._retry_after)

    def close(self) -> None:
        """Holds nothing."""


class Once(Busy):
    """Reads these posts and ends."""

    def __init__(self, *posts: Post) -> None:
        super().__init__(None)
        self._posts = posts

    def read(self, cursor: Cursor | None) -> Read:
        del cursor
        return Read(posts=self._posts, cursor={"at": 1}, wait=None)


def pump(connector: Busy, producer: Kept, stop: threading.Event, kept: list[Cursor]) -> Pump:
    return Pump(connector, producer, TOPICS, stop, keep=kept.append, report=lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "pauses"),
    [
        (None, [1, 2, 4, 8, 16]),
        (0.0, [1, 2, 4, 8, 16]),
        (1e-9, [1] * 5),
        (30.0, [30] * 5),
    ],
)
def test_a_platform_that_wants_to_be_asked_at_once_is_not_stormed(
    told: float | None, pauses: list[float]
) -> None:
    stop = Rests()
    pump(Busy(told), Kept(), stop, []).run(None)
    assert stop.pauses == pauses


def test_a_post_that_no_topic_takes_is_set_aside_and_stops_nothing() -> None:
    producer, kept = Kept(), []
    giant = Post(id="a:1", text="x" * MAX_RECORD_BYTES, author=Author(id="a:me"))
    sound = Post(id="a:2", text="hello", author=Author(id="a:me"))
    pump(Once(giant, sound), producer, threading.Event(), kept).run(None)
    refused, sent = producer.records
    assert (sent.topic, sent.key) == (TOPICS.posts.name, b"a:2")
    assert refused.topic == TOPICS.rejected.name
    assert refused.value is not None
    rejection = decode_rejection(refused.value)
    assert (rejection.reason, rejection.cut, rejection.stage) == ("too_big", True, "collect")
    assert kept == [{"at": 1}]
