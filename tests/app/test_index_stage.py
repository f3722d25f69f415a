"""The index stage: what waits is written together, a partition's batches one after the other."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.app.authors.marks import AuthorMarks
from pipeline.app.batch_driver import RecordBatch
from pipeline.app.brokers import Brokers
from pipeline.app.health import Health
from pipeline.app.index_stage import IndexStage
from pipeline.app.meters import Meters
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer
from pipeline.app.topics import topics_of
from pipeline.core.errors import FatalError
from pipeline.core.event import Event, encode_event
from pipeline.core.ledger import Lane
from pipeline.core.post import Post, stub
from pipeline.core.settings import KafkaSettings
from tests.app.test_enrich_stage import Fetched

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOPICS = topics_of(KafkaSettings())


class Shelf:
    """A sink that keeps what it is given, and holds a writer up while ``gate`` is closed."""

    def __init__(self) -> None:
        self.writes: list[list[str]] = []
        self.caught_up: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fault: Exception | None = None
        self.followed: list[list[str]] = []
        self.behind = threading.Event()
        self.behind.set()
        self.trouble: Exception | None = None

    def follow(self, events: Sequence[Event]) -> None:
        """What is done once posts are written; held up while ``behind`` is closed."""
        self.followed.append([event.post.id for event in events])
        self.behind.wait(10)
        if self.trouble:
            raise self.trouble

    def write(self, events: Sequence[Event]) -> list[str | None]:
        self.writes.append([event.post.id for event in events])
        self.gate.wait(10)
        if self.fault:
            raise self.fault
        return [None] * len(events)

    def catch_up(self) -> None:
        self.caught_up.append(len(self.writes))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def run(shelf: Shelf) -> Iterator[Callable[..., None]]:
    """Runs a coroutine that is given a stage; its events are deletions, which say nothing to Kafka."""
    producer = Producer(Brokers("127.0.0.1:9"))

    def run(act: Callable[[IndexStage], Coroutine[Any, Any, None]], room: int = 1000) -> None:
        async def with_stage() -> None:
            patience = Patience("elasticsearch", Health("index", Meters()), logging.getLogger("test"))
            marks = AuthorMarks(TOPICS.authors.name, lambda _: {})
            then = [shelf.follow]
            stage = IndexStage(
                shelf, producer, TOPICS, lambda: NOW, patience, marks=marks, room=room, then=then
            )
            try:
                await asyncio.wait_for(act(stage), 20)
            finally:
                shelf.gate.set()
                shelf.behind.set()
                stage.close()

        asyncio.run(with_stage())

    yield run
    producer.close(0)


class Log:
    """Batches of one partition, in their order."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.lane = Lane()
        self._next = 0

    def batch(self, size: int = 1) -> RecordBatch:
        """The next records: posts ``x:PARTITION-OFFSET``."""
        first, self._next = self._next, self._next + size
        records = [self._record(offset) for offset in range(first, self._next)]
        entry = self.lane.begin(first, self._next)
        return RecordBatch(TOPICS.events.name, self.partition, records, self.lane, entry)

    def _record(self, offset: int) -> Fetched:
        post = stub(Post(id=f"x:{self.partition}-{offset}", text="", deleted=True))
        event = Event(post=post, index="i", version=1, processed_at=NOW)
        return Fetched(TOPICS.events.name, self.partition, offset, 0, b"k", encode_event(event))


async def busy(shelf: Shelf, writers: int) -> None:
    while len(shelf.writes) < writers:
        await asyncio.sleep(0.005)


def test_what_waits_is_written_as_one(shelf: Shelf, run: Any) -> None:
    logs = [Log(number) for number in range(4)]

    async def act(stage: IndexStage) -> None:
        shelf.gate.clear()
        first = []
        for number in (0, 1):
            first.append(await stage.begin(logs[number].batch()))
            await busy(shelf, number + 1)
        rest = [await stage.begin(log.batch(2)) for log in logs for _ in range(2)]
        await asyncio.sleep(0.05)
        assert len(shelf.writes) == 2, "both writers are at work"
        shelf.gate.set()
        counts = await asyncio.gather(*first, *rest)
        assert counts == [(1, 0)] * 2 + [(2, 0)] * 8

    run(act)
    assert len(shelf.writes) <= 5, shelf.writes
    for log in logs:
        of_log = [id for ids in shelf.writes for id in ids if id.startswith(f"x:{log.partition}-")]
        assert of_log == sorted(of_log)
        assert len(of_log) == len(set(of_log)) >= 4


def test_a_partition_is_in_one_writers_hands(shelf: Shelf, run: Any) -> None:
    log = Log(0)

    async def act(stage: IndexStage) -> None:
        shelf.gate.clear()
        done = [await stage.begin(log.batch()) for _ in range(5)]
        await busy(shelf, 1)
        await asyncio.sleep(0.05)
        assert len(shelf.writes) == 1, "the second writer must not overtake the first"
        shelf.gate.set()
        await asyncio.gather(*done)

    run(act)
    assert [id for ids in shelf.writes for id in ids] == [f"x:0-{offset}" for offset in range(5)]


def test_the_bound_is_in_records(shelf: Shelf, run: Any) -> None:
    log = Log(0)

    async def act(stage: IndexStage) -> None:
        shelf.gate.clear()
        huge = await stage.begin(log.batch(50))
        small = asyncio.ensure_future(stage.begin(log.batch()))
        await asyncio.sleep(0.05)
        assert not small.done(), "there is no room"
        shelf.gate.set()
        await huge
        await (await small)

    run(act, room=10)


def test_each_assignment_begins_with_what_others_wrote(shelf: Shelf, run: Any) -> None:
    before, after = Log(0), Log(0)

    async def act(stage: IndexStage) -> None:
        for log in (before, before, after, after):
            await (await stage.begin(log.batch()))

    run(act)
    assert shelf.caught_up == [0, 2]


def test_a_failure_reaches_all_that_were_written_together(shelf: Shelf, run: Any) -> None:
    logs = [Log(number) for number in range(3)]
    shelf.fault = FatalError("over")

    async def act(stage: IndexStage) -> None:
        done = [await stage.begin(log.batch()) for log in logs]
        ends = await asyncio.gather(*done, return_exceptions=True)
        assert [str(end) for end in ends] == ["over"] * 3

    run(act)


def test_a_batch_that_comes_as_the_writers_end_is_not_left_lying(shelf: Shelf, run: Any) -> None:
    logs = [Log(0), Log(1)]

    async def act(stage: IndexStage) -> None:
        shelf.gate.clear()
        first = await stage.begin(logs[0].batch())
        await busy(shelf, 1)
        await stage.begin(logs[1].batch())
        await busy(shelf, 2)

        async def follow() -> None:
            await first
            await (await stage.begin(logs[0].batch()))

        following = asyncio.ensure_future(follow())
        await asyncio.sleep(0)
        shelf.gate.set()
        # The loop stands still meanwhile, so both writers end in one and the same turn of it.
        time.sleep(0.2)
        await asyncio.wait_for(following, 10)

    run(act)


def test_posts_do_not_wait_for_what_follows_from_those_before(shelf: Shelf, run: Any) -> None:
    log = Log(0)

    async def act(stage: IndexStage) -> None:
        shelf.behind.clear()
        done = []
        for number in range(4):
            done.append(await stage.begin(log.batch()))
            await busy(shelf, number + 1)
            while not shelf.followed:
                await asyncio.sleep(0.005)  # else the second may gather with the first
        await asyncio.sleep(0.05)
        assert not any(one.done() for one in done), "a batch counts as done once all is seen to"
        shelf.behind.set()
        await asyncio.gather(*done)

    run(act)
    assert shelf.followed[0] == ["x:0-0"]
    followed = [id for ids in shelf.followed for id in ids]
    assert followed == [f"x:0-{offset}" for offset in range(4)], "in their order"
    assert len(shelf.followed) <= 3, "what gathered is followed up as one"


def test_there_is_no_room_for_more_while_what_follows_is_behind(shelf: Shelf, run: Any) -> None:
    log = Log(0)

    async def act(stage: IndexStage) -> None:
        shelf.behind.clear()
        done = [await stage.begin(log.batch(5)) for _ in range(2)]
        more = asyncio.ensure_future(stage.begin(log.batch()))
        await busy(shelf, 1)
        await asyncio.sleep(0.05)
        assert not more.done()
        shelf.behind.set()
        await asyncio.gather(*done, await more)

    run(act, room=10)


def test_a_failure_of_what_follows_reaches_its_batches(shelf: Shelf, run: Any) -> None:
    log = Log(0)
    shelf.trouble = FatalError("over")

    async def act(stage: IndexStage) -> None:
        shelf.behind.clear()
        done = [await stage.begin(log.batch()) for _ in range(3)]
        await busy(shelf, 1)
        shelf.behind.set()
        ends = await asyncio.gather(*done, return_exceptions=True)
        assert [str(end) for end in ends] == ["over"] * 3

    run(act)
