"""The stage from posts to events: decode, run the chain, hand the events to Kafka in the order of the log.

The work of a batch runs in one thread of its own, so that the event loop keeps the group's heartbeat;
batches follow each other, and up to a few wait together for Kafka's confirmation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from pipeline.app.batch_driver import RecordBatch
from pipeline.app.changes import as_record
from pipeline.app.notices import notices
from pipeline.app.producer import Producer, Record, too_big
from pipeline.app.refusal import refuse
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.event import encode_event
from pipeline.core.ledger import Lane
from pipeline.core.newest import Newest
from pipeline.core.post import Post, decode_post
from pipeline.core.process import Chain
from pipeline.core.version import version_of

Counts = tuple[int, int]
"""How many records of a batch are dealt with, and how many were rejected."""


class EnrichStage:
    """Takes batches of the posts topic; one instance a process."""

    def __init__(  # noqa: PLR0913 - the stage's collaborators, each handed in once
        self,
        chain: Chain,
        producer: Producer,
        topics: Topics,
        *,
        prefix: str,
        clock: Callable[[], datetime],
        load: Callable[[int], Newest],
    ) -> None:
        self._chain = chain
        self._load = load
        self._lanes: dict[int, tuple[Lane, Newest]] = {}
        self._producer = producer
        self._topics = topics
        self._prefix = prefix
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="groundswell-enrich")

    async def begin(self, batch: RecordBatch) -> asyncio.Future[Counts]:
        """Returns once the results are handed over; the future is done when Kafka has confirmed them."""
        loop = asyncio.get_running_loop()
        delivery, counts = await loop.run_in_executor(self._thread, self._work, batch)
        confirmed: asyncio.Future[None] = asyncio.wrap_future(delivery)

        async def finish() -> Counts:
            await confirmed
            return counts

        return asyncio.ensure_future(finish())

    def _work(self, batch: RecordBatch) -> tuple[Future[None], Counts]:
        records, counts = self.results(batch.records, self._newest(batch))
        return self._producer.send(records), counts

    def _newest(self, batch: RecordBatch) -> Newest:
        """The memory of the partition, read anew with each assignment: another may have held it meanwhile."""
        lane, newest = self._lanes.get(batch.partition, (None, None))
        if lane is not batch.lane or newest is None:
            newest = self._load(batch.partition)
            self._lanes[batch.partition] = (batch.lane, newest)
        return newest

    def results(self, fetched: Sequence[Any], newest: Newest) -> tuple[list[Record], Counts]:
        """The records to send for what was fetched of a partition: of each an event with its notices, or a
        rejection, or nothing where a newer state of the post is out already."""
        now = self._clock()
        posts: list[Post] = []
        sources: list[Any] = []
        refused: list[Record] = []
        for record in fetched:
            try:
                post = decode_post(record.value or b"")
            except RejectedError as error:
                refused.append(refuse(record, error, "enrich", self._topics, now))
                continue
            if newest.admits(post.id, version_of(post)):
                posts.append(post)
                sources.append(record)
        observed = [datetime.fromtimestamp(record.timestamp / 1000, UTC) for record in sources]
        outcomes = self._chain.process(posts, observed, prefix=self._prefix, now=now)
        changes: list[Record] = []
        events: list[Record] = []
        notes: list[Record] = []
        for outcome, record in zip(outcomes, sources, strict=True):
            if isinstance(outcome, RejectedError):
                refused.append(refuse(record, outcome, "enrich", self._topics, now))
                continue
            key, value = outcome.post.id.encode(), encode_event(outcome)
            if too_big(key, value):
                told = f"its event has {len(value)} bytes, more than a topic takes"
                too_long = RejectedError(told, "too_big")
                refused.append(refuse(record, too_long, "enrich", self._topics, now))
                continue
            # Once more, for the batch itself may hold the newer state; and only now, for a state that
            # was rejected must not stand in the way of the one before it.
            if not newest.admits(outcome.post.id, outcome.version):
                continue
            if newest.note(outcome.post.id, outcome.version):
                changes.append(as_record(outcome.post.id, outcome.version, self._topics))
            events.append(Record(self._topics.events.name, key, value))
            notes += notices(outcome, self._topics)
        return changes + events + notes + refused, (len(fetched) - len(refused), len(refused))

    def close(self) -> None:
        """Ends the thread; a batch that Kafka does not take now is enriched again next time."""
        self._producer.abandon()
        self._thread.shutdown()
