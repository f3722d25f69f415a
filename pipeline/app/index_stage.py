"""From events to the index: what the sink refuses is set aside, what it cannot take now is tried again.

All batches that wait when a writer is free are written as one, whatever their partitions: few events go on
at once, and under a backlog a request holds many. A partition is in one writer's hands at a time, so that
its batches follow each other strictly, for the sink looks up where a post lives before it writes.

What follows from the posts, such as cases, comes behind in a hand of its own, in the order of the writes,
while the next posts are written: they are found the sooner, and what gathers meanwhile is followed up as one.
A post that is written late changes nothing, for its version decides; a case that is opened late stays open.
So nothing follows from a batch whose partition went to another.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct

from pipeline.app.authors.marks import AuthorMarks
from pipeline.app.batch_driver import RecordBatch, is_ours
from pipeline.app.enrich_stage import Counts
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer, Record
from pipeline.app.refusal import refuse
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.event import Event, decode_event
from pipeline.core.ledger import Lane
from pipeline.core.protocols import Sink
from pipeline.core.retention import Expiry

# Two requests at once keep Elasticsearch busy while the next body is built.
WRITERS = 2
FOLLOWERS = 1
# Records that are written as one; a batch of more is not cut.
TOGETHER = 2000

IN_HAND = 64
"""Batches of the topic that the worker may hand over before it waits: at a low rate they are small, and the
bound is in records (`room` of the stage)."""


_T = TypeVar("_T")
_R = TypeVar("_R")


class _Waiting(Struct, eq=False):
    batch: RecordBatch
    done: asyncio.Future[Counts]


class _Written(Struct, frozen=True, eq=False):
    """Batches whose posts are in the index or refused, the events of each that it took, what is on its way to
    Kafka, and how many of each batch were refused."""

    taken: Sequence[_Waiting]
    accepted: list[list[Event]]
    sent: Future[None]
    refusals: list[int]


class _Read(Struct, frozen=True, eq=False):
    """The events of some batches, in their order, each with its record and the number of its batch."""

    events: list[Event]
    sources: list[tuple[Any, int]]
    refused: list[Record]
    refusals: list[int]
    """How many of each batch are refused."""


class IndexStage:
    """Takes batches of the events topic; one instance a process."""

    def __init__(  # noqa: PLR0913 - the stage's collaborators, each handed in once
        self,
        sink: Sink,
        producer: Producer,
        topics: Topics,
        clock: Callable[[], datetime],
        patience: Patience,
        *,
        marks: AuthorMarks,
        room: int,
        then: Sequence[Callable[[Sequence[Event]], None]] = (),
        expiry: Callable[[], Expiry] = Expiry,
    ) -> None:
        """``room`` is how many records may be in hand before the next batch waits. ``then`` are called with
        the events that the index took, before their batch counts as done; they raise RetryableError where
        they are to be called again; not with those of batches that are another's by then. ``expiry`` tells
        what is past its time now."""
        self._expiry = expiry
        self._sink = sink
        self._producer = producer
        self._topics = topics
        self._clock = clock
        self._patience = patience
        self._marks = marks
        self._then = then
        self._room = room
        self._held = 0
        self._let_go = asyncio.Event()
        self._waiting: list[_Waiting] = []
        self._writing: set[int] = set()
        self._writers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes: dict[int, Lane] = {}
        self._written: list[_Written] = []
        self._follows = False
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(WRITERS + FOLLOWERS, thread_name_prefix="groundswell-index")

    async def begin(self, batch: RecordBatch) -> asyncio.Future[Counts]:
        """Returns once there is room; the future is done when each event is in the index or set aside."""
        loop = asyncio.get_running_loop()
        while self._held and self._held + len(batch.records) > self._room:
            self._let_go.clear()
            await self._let_go.wait()
        self._held += len(batch.records)
        waiting = _Waiting(batch, loop.create_future())
        self._waiting.append(waiting)
        if self._writers < WRITERS:
            self._writers += 1
            self._start(self._work_off())
        return waiting.done

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self) -> None:
        """Writes until nothing waits that may be written now, or a write fails."""
        try:
            while (taken := self._take()) and await self._see_to(taken):
                pass
        finally:
            # In one step with the last look at what waits: a batch that comes now finds a writer or gets one.
            self._writers -= 1

    async def _see_to(self, taken: Sequence[_Waiting]) -> bool:
        """Writes the posts of batches as one; False where that failed, and the process is to end."""
        partitions = {one.batch.partition for one in taken}
        self._writing |= partitions
        try:
            written = await self._aside(self._write, taken)
        except Exception as error:
            _fail(taken, error)
            return False
        finally:
            self._writing -= partitions
        self._written.append(written)
        if not self._follows:
            self._follows = True
            self._start(self._follow_up())
        return True

    async def _follow_up(self) -> None:
        """Sees to what follows from posts until all that is written is done, or it fails."""
        try:
            while written := self._written:
                self._written = []
                try:
                    await self._aside(self._follow, written)
                except Exception as error:
                    _fail([one for group in written for one in group.taken], error)
                    return
                for group in written:
                    self._done(group)
                self._let_go.set()
        finally:
            self._follows = False

    def _done(self, group: _Written) -> None:
        for one, refused in zip(group.taken, group.refusals, strict=True):
            size = len(one.batch.records)
            self._held -= size
            one.done.set_result((size - refused, refused))

    async def _aside(self, act: Callable[[_T], _R], what: _T) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, act, what)

    def _take(self) -> list[_Waiting]:
        """What is to be written next, oldest first."""
        taken: list[_Waiting] = []
        left: list[_Waiting] = []
        room = TOGETHER
        passed = set(self._writing)
        for one in self._waiting:
            if one.batch.partition not in passed and (not taken or len(one.batch.records) <= room):
                taken.append(one)
                room -= len(one.batch.records)
            else:
                # What follows in its partition has to wait for it.
                passed.add(one.batch.partition)
                left.append(one)
        self._waiting = left
        return taken

    def _write(self, taken: Sequence[_Waiting]) -> _Written:
        batches = [one.batch for one in taken]
        self._take_over(batches)
        read = self._decode(batches)
        events = read.events
        ahead = self._patience.insist(lambda: self._marks.ahead(events))
        self._producer.deliver(ahead)
        outcomes = self._patience.insist(lambda: self._sink.write(events))
        accepted: list[list[Event]] = [[] for _ in taken]
        for event, (record, number), reason in zip(events, read.sources, outcomes, strict=True):
            if reason is None:
                accepted[number].append(event)
            else:
                read.refused.append(self._refuse(event, record, reason))
                read.refusals[number] += 1
        # Set aside for good, and marked, before the batch counts as done; meanwhile the cases are seen to.
        sent = self._producer.send(read.refused + self._marks.behind(events, ahead))
        return _Written(taken, accepted, sent, read.refusals)

    def _follow(self, written: Sequence[_Written]) -> None:
        for act in self._then:
            self._patience.insist(lambda act=act: act(self._ours(written)))  # type: ignore[misc]
        for group in written:
            self._producer.wait(group.sent)

    def _ours(self, written: Sequence[_Written]) -> list[Event]:
        """The events that the index took, less those of partitions that others hold by now: they have gone on
        from there, and may know of newer states that changed what follows."""
        return [
            event
            for group in written
            for one, events in zip(group.taken, group.accepted, strict=True)
            if is_ours(one.batch, self._closed.wait)
            for event in events
        ]

    def _take_over(self, batches: Sequence[RecordBatch]) -> None:
        """With each assignment somebody else may have written posts of the partition a moment ago."""
        if all(self._lanes.get(batch.partition) is batch.lane for batch in batches):
            return
        self._patience.insist(self._sink.catch_up)
        self._lanes |= {batch.partition: batch.lane for batch in batches}

    def _refuse(self, event: Event, record: Any, reason: str) -> Record:
        # An event that is enriched again is the same state of the post in other bytes.
        identity = f"{event.post.id} {event.version}".encode()
        error = RejectedError(reason, "index")
        return refuse(record, error, "index", self._topics, self._clock(), identity=identity)

    def _decode(self, batches: Sequence[RecordBatch]) -> _Read:
        read = _Read([], [], [], [0] * len(batches))
        expiry = self._expiry()
        for number, batch in enumerate(batches):
            for record in batch.records:
                if record.value is None:
                    continue  # the tombstone of a purged post: the log is done with it
                try:
                    event = decode_event(record.value)
                except RejectedError as error:
                    read.refused.append(refuse(record, error, "index", self._topics, self._clock()))
                    read.refusals[number] += 1
                    continue
                # A deletion passes: its post may still be there.
                if event.post.deleted or not expiry.event(event):
                    read.events.append(event)
                    read.sources.append((record, number))
        return read

    def close(self) -> None:
        """Ends the threads; what still waits for Elasticsearch gives up and is read again next time."""
        self._closed.set()
        self._patience.end()
        self._producer.abandon()
        self._threads.shutdown()


def _fail(taken: Sequence[_Waiting], error: Exception) -> None:
    for one in taken:
        one.done.set_exception(error)
