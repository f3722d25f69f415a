"""From events to the index: what the sink refuses is set aside, what it cannot take now is tried again.

Batches of one partition follow each other strictly, for the sink looks up where a post lives before
it writes; batches of different partitions go side by side.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

from pipeline.app.authors.marks import AuthorMarks
from pipeline.app.batch_driver import RecordBatch
from pipeline.app.enrich_stage import Counts
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer, Record
from pipeline.app.refusal import refuse
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.event import Event, decode_event
from pipeline.core.protocols import Sink
from pipeline.core.retention import Expiry

# Two requests at once keep Elasticsearch busy while the next body is built.
WRITERS = 2


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
        then: Sequence[Callable[[Sequence[Event]], None]] = (),
        expiry: Callable[[], Expiry] = Expiry,
    ) -> None:
        """``then`` are called with the events that the index took, before their batch counts as done; they
        raise RetryableError where they are to be called again. ``expiry`` tells what is past its time now."""
        self._expiry = expiry
        self._sink = sink
        self._producer = producer
        self._topics = topics
        self._clock = clock
        self._patience = patience
        self._marks = marks
        self._then = then
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="groundswell-index")

    async def begin(self, batch: RecordBatch) -> asyncio.Future[Counts]:
        """Returns at once; the future is done when each event is in the index or set aside."""
        return asyncio.ensure_future(self._in_turn(batch))

    async def _in_turn(self, batch: RecordBatch) -> Counts:
        async with self._turns[batch.partition]:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._write, batch)

    def _write(self, batch: RecordBatch) -> Counts:
        events, sources, refused = self._decode(batch)
        ahead = self._patience.insist(lambda: self._marks.ahead(events))
        self._producer.deliver(ahead)
        outcomes = self._patience.insist(lambda: self._sink.write(events))
        accepted: list[Event] = []
        for event, record, reason in zip(events, sources, outcomes, strict=True):
            if reason is None:
                accepted.append(event)
            else:
                refused.append(self._refuse(event, record, reason))
        for act in self._then:
            self._patience.insist(partial(act, accepted))
        # Set aside for good, and marked, before the batch counts as done.
        self._producer.deliver(refused + self._marks.behind(events, ahead))
        return len(batch.records) - len(refused), len(refused)

    def _refuse(self, event: Event, record: Any, reason: str) -> Record:
        # An event that is enriched again is the same state of the post in other bytes.
        identity = f"{event.post.id} {event.version}".encode()
        error = RejectedError(reason, "index")
        return refuse(record, error, "index", self._topics, self._clock(), identity=identity)

    def _decode(self, batch: RecordBatch) -> tuple[Sequence[Event], Sequence[Any], list[Record]]:
        events, sources, refused = [], [], []
        expiry = self._expiry()
        for record in batch.records:
            if record.value is None:
                continue  # the tombstone of a purged post: the log is done with it
            try:
                event = decode_event(record.value)
            except RejectedError as error:
                refused.append(refuse(record, error, "index", self._topics, self._clock()))
                continue
            # A deletion passes: its post may still be there.
            if event.post.deleted or not expiry.event(event):
                events.append(event)
                sources.append(record)
        return events, sources, refused

    def close(self) -> None:
        """Ends the threads; what still waits for Elasticsearch gives up and is read again next time."""
        self._patience.end()
        self._producer.abandon()
        self._threads.shutdown()
