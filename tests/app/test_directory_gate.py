"""No post is linked by a stale directory, nor by one that lacks the change which asked for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import Struct

from pipeline.app.directory.gate import DirectoryGate
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.core.errors import FatalError
from pipeline.core.headers import again
from pipeline.core.rerouting import Before
from pipeline.identity.directory import Change, DirectoryReader, DirectoryWriter
from testkit.waiting import until

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Fetched(Struct):
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


def asking(places: dict[int, int], sent_at: datetime = NOW) -> Fetched:
    headers = tuple((name, value.encode()) for name, value in again(1, places, Before((), held=False)))
    return Fetched(int(sent_at.timestamp() * 1000), headers)


PLAIN = Fetched(int(NOW.timestamp() * 1000))


class Waiter:
    """A gate with a thread before it."""

    def __init__(self, path: Path) -> None:
        self.health = Health("enrich", Meters())
        self.gate = DirectoryGate(DirectoryReader(path), 60.0, self.health, lambda: NOW)
        self.failed: list[FatalError] = []
        self.thread: threading.Thread | None = None

    def wait(self, *records: Fetched) -> None:
        def work() -> None:
            try:
                self.gate.wait(records)
            except FatalError as error:
                self.failed.append(error)

        self.thread = threading.Thread(target=work)
        self.thread.start()

    @property
    def waits(self) -> str:
        return self.health.reasons.get("directory", "")

    def passed(self) -> bool:
        assert self.thread is not None
        self.thread.join(10)
        return not self.thread.is_alive() and not self.failed and not self.health.reasons

    def close(self) -> None:
        self.gate.end()
        if self.thread is not None:
            self.thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory"


@pytest.fixture
def waiter(path: Path) -> Iterator[Waiter]:
    waiter = Waiter(path)
    yield waiter
    waiter.close()


@pytest.fixture
def writer(path: Path) -> Iterator[DirectoryWriter]:
    writer = DirectoryWriter(path)
    yield writer
    writer.close()


def test_without_a_directory_it_waits_and_says_what_is_missing(waiter: Waiter) -> None:
    waiter.wait(PLAIN)
    until(lambda: "is the role `directory` running" in waiter.waits)
    waiter.gate.end()
    assert waiter.thread is not None
    waiter.thread.join(10)
    assert [type(error) for error in waiter.failed] == [FatalError]


def test_it_waits_while_the_directory_is_older_than_half_the_settling(
    waiter: Waiter, writer: DirectoryWriter
) -> None:
    writer.note_fresh(NOW - timedelta(seconds=31))
    waiter.wait(PLAIN)
    until(lambda: "is the role `directory` running" in waiter.waits)
    writer.note_fresh(NOW - timedelta(seconds=30))
    assert waiter.passed()


def test_it_waits_for_the_change_that_asked(waiter: Waiter, writer: DirectoryWriter) -> None:
    writer.apply([Change(2, 40, "c1", None)])
    writer.note_fresh(NOW)
    waiter.wait(PLAIN, asking({2: 41}))
    until(lambda: "record 41 of partition 2" in waiter.waits)
    writer.apply([Change(2, 41, "c1", None)])
    assert waiter.passed()


def test_a_topic_that_was_made_anew_keeps_nobody_waiting(waiter: Waiter, writer: DirectoryWriter) -> None:
    """Its offsets begin at zero again; a directory that was fresh long after the demand has seen it."""
    writer.note_fresh(NOW)
    waiter.wait(asking({2: 41}, NOW - timedelta(minutes=5)))
    assert waiter.passed()
