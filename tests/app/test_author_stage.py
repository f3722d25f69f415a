"""The stage that reckons authors: coalescing, what is about to be deleted, foreign records, failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.app.authors.marks import AuthorMarks
from pipeline.app.authors.memory import AuthorMemory
from pipeline.app.authors.stage import AuthorStage, Gone
from pipeline.app.batch_driver import RecordBatch
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.patience import Patience
from pipeline.app.producer import Record
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.event import Event
from pipeline.core.index_name import undated
from pipeline.core.ledger import Lane
from pipeline.core.post import Author, Post
from pipeline.core.settings import ElasticsearchSettings
from pipeline.core.version import version_of
from sinks.elastic import ElasticSink
from sinks.store import Store


class Fetched(Struct, frozen=True):
    """What the stage asks of a record."""

    offset: int
    key: bytes | None
    value: bytes | None


class Counting(AuthorMemory):
    """The memory, and whom each round reckoned; raises what is put into ``troubles`` first."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rounds: list[list[str]] = []
        self.troubles: list[Exception] = []

    def reckon(self, authors: Any, gone: Sequence[str] = ()) -> None:
        self.rounds.append(list(authors))
        if self.troubles:
            raise self.troubles.pop(0)
        super().reckon(authors, gone)


class Room:
    """Index, memory and stage of one test."""

    def __init__(self, client: Elasticsearch, settings: ElasticsearchSettings) -> None:
        self.settings = settings
        self.sink = ElasticSink(client, settings)
        self.store = Store(client, settings, "authors")
        self.memory = Counting(client, settings, lambda: datetime.now(UTC))
        self.marks = AuthorMarks("marks", self.sink.authors)

    def event(self, id: str, author: str = "", *, deleted: bool = False) -> Event:
        post = Post(id=id, text="hello", author=Author(id=author), deleted=deleted)
        index = undated(self.settings.prefix)
        return Event(post=post, index=index, version=version_of(post), processed_at=datetime.now(UTC))

    def run(self, work: Callable[[AuthorStage], Any], rest: float = 0.2) -> Any:
        """Runs the work with a stage of its own, which rests for so many seconds behind each round."""

        async def whole() -> Any:
            patience = Patience("elasticsearch", Health("directory", Meters()), logging.getLogger("test"))
            stage = AuthorStage(self.memory, patience, shortest_rest=rest, longest_rest=rest)
            try:
                return await asyncio.wait_for(work(stage), 60)
            finally:
                stage.close()
                stage.close()

        return asyncio.run(whole())

    def posts(self) -> dict[str, int]:
        """Author to number of posts, as remembered."""
        self.store.refresh()
        return {found.source["id"]: found.source["posts"] for found in self.store.search({"match_all": {}})}


def batch(*marks: Record | Fetched) -> RecordBatch:
    fetched = [
        mark if isinstance(mark, Fetched) else Fetched(offset, mark.key, mark.value)
        for offset, mark in enumerate(marks)
    ]
    lane = Lane()
    return RecordBatch("marks", 0, fetched, lane, lane.begin(0, len(fetched)))


@pytest.fixture
def room(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Iterator[Room]:
    made = Room(client, elastic_settings)
    yield made
    made.store.drop()


def test_batches_that_gather_are_reckoned_in_one_go(room: Room) -> None:
    events = [room.event(f"x:{n}", f"x:u{n % 3}") for n in range(9)]
    room.sink.write(events)
    marks = room.marks.behind(events, [])

    async def work(stage: AuthorStage) -> None:
        assert await (await stage.begin(batch(*marks))) == (3, 0)
        both = [await stage.begin(batch(*marks)), await stage.begin(batch(marks[0], marks[0]))]
        assert await asyncio.gather(*both) == [(3, 0), (2, 0)]

    # Both have to come before the rest is over.
    room.run(work, rest=2.0)
    assert room.memory.rounds == [["x:u0", "x:u1", "x:u2"]] * 2
    assert room.posts() == {"x:u0": 3, "x:u1": 3, "x:u2": 3}


def test_a_death_between_a_stub_and_its_mark_leaves_no_post_too_many(room: Room) -> None:
    room.sink.write([room.event("x:1", "x:a"), room.event("x:2", "x:a"), room.event("x:3", "x:b")])
    deletions = [room.event("x:1", deleted=True), room.event("x:3", deleted=True)]
    ahead = room.marks.ahead(deletions)

    async def work(stage: AuthorStage) -> None:
        # Reckoned before the stub is there; then another post of the same author; then the stub, and the
        # process that wrote it dies before it marks anybody.
        await (await stage.begin(batch(*ahead)))
        assert room.posts() == {"x:a": 1}
        room.sink.write([room.event("x:4", "x:a")])
        await (await stage.begin(batch(Record("marks", b"x:a", b""))))
        room.sink.write(deletions)

    room.run(work)
    # What it does when it starts again: the stubs are there and name nobody.
    assert room.marks.ahead(deletions) == []
    assert room.posts() == {"x:a": 2}


def test_a_post_written_a_moment_ago_and_deleted_now_is_found(room: Room) -> None:
    room.sink.write([room.event("x:1", "x:a")])
    other = AuthorMarks("marks", ElasticSink(room.store.client, room.settings).authors)
    [mark] = other.ahead([room.event("x:1", deleted=True), room.event("x:2", deleted=True)])
    assert (mark.key, mark.value) == (b"x:a", b'{"gone":["x:1"]}')


def test_foreign_records_stop_nobody(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.sink.write([room.event("x:1", "x:a")])
    foreign = [Fetched(7, None, b""), Fetched(8, b"x:a", b"no mark")]

    async def work(stage: AuthorStage) -> Any:
        return await (await stage.begin(batch(*foreign, Fetched(9, b"x:a", None))))

    assert room.run(work) == (1, 2)
    assert room.posts() == {"x:a": 1}
    assert "marks-0-8: no mark of an author" in caplog.text


def test_a_server_that_is_away_is_waited_for_and_a_fault_is_raised(room: Room) -> None:
    room.sink.write([room.event("x:1", "x:a")])
    room.memory.troubles = [RetryableError("away", 0.01), RetryableError("away", 0.01)]
    mark = Record("marks", b"x:a", b"")

    async def work(stage: AuthorStage) -> None:
        assert await (await stage.begin(batch(mark))) == (1, 0)
        room.memory.troubles = [ConfigError("somebody must act")]
        failed = [await stage.begin(batch(mark)), await stage.begin(batch(mark))]
        for done in failed:
            with pytest.raises(ConfigError, match="somebody must act"):
                await done

    room.run(work)
    assert room.posts() == {"x:a": 1}


def test_the_oldest_of_the_gone_are_forgotten() -> None:
    gone = Gone(capacity=3)
    gone.note("x:a", ["x:1", "x:2"])
    gone.note("x:b", ["x:3"])
    gone.note("x:a", ["x:1"])
    gone.note("x:c", ["x:4"])
    assert gone.of({"x:a", "x:b"}) == ["x:3", "x:1"]
    assert gone.of({"x:c", "x:d"}) == ["x:4"]
