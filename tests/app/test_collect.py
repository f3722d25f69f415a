"""What the pump does when a connector brings what it should not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from connectors.jsonl import JsonLines
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


class Script(threading.Event):
    """Does the next thing at each rest, rests so long by its own clock, and is set when none is left."""

    def __init__(self, *things: Callable[[], object]) -> None:
        super().__init__()
        self._things = list(things)
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        if timeout and self._things:
            self._things.pop(0)()
        if not self._things:
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


def test_a_file_that_is_gone_is_told_once_though_its_writer_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, moved = tmp_path / "posts.jsonl", tmp_path / "yesterday.jsonl"
    file.write_bytes(line(1))

    def burst() -> None:
        with moved.open("ab") as out:
            out.write(line(2))

    stop = Script(lambda: file.rename(moved), *[burst] * 5, lambda: file.write_bytes(line(3)), rest, rest)
    posts = pumped(JsonLines(str(file), 10, follow=True, stage="collect"), stop)
    assert posts == [b"x:1", *[b"x:2"] * 5, b"x:3"]
    [told] = caplog.messages
    assert told == (
        f"feed: {file} is gone (No such file or directory): what comes under this name is read next; "
        "next try in 1 s"
    )


def test_a_trouble_that_was_over_is_told_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, moved = tmp_path / "posts.jsonl", tmp_path / "away.jsonl"
    file.write_bytes(line(1))

    def goes() -> None:
        file.rename(moved)

    def comes() -> None:
        moved.rename(file)

    def minutes() -> None:
        stop.now += 120

    stop = Script(goes, comes, goes, minutes, comes, minutes, goes, comes, rest)
    pumped(JsonLines(str(file), 10, follow=True, stage="collect"), stop)
    assert len(caplog.messages) == 2, "once when it goes first, though it is back for a moment; then anew"


def line(number: int) -> bytes:
    return b'{"id": "x:%d", "text": "hello", "author": {"id": "x:joe"}}\n' % number


def rest() -> None:
    """Nothing happens."""


def pumped(connector: JsonLines, stop: Script) -> list[bytes]:
    """The ids that come while a connector named `feed` is read until the script is over."""
    producer = Kept()
    pump = Pump(
        connector,
        producer,  # type: ignore[arg-type]
        TOPICS,
        stop,
        keep=lambda _: None,
        report=lambda _: None,
        name="feed",
        clock=lambda: stop.now,
    )
    with contextlib.closing(connector):
        pump.run(None)
    return [record.key for record in producer.records]
