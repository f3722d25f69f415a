"""The stage from posts to events: decode, run the chain, hand the events to Kafka in the order of the log.

The work of a batch runs in one thread of its own, so that the event loop keeps the group's heartbeat;
batches follow each other, and up to a few wait together for Kafka's confirmation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from pipeline.app.batch_driver import RecordBatch
from pipeline.app.producer import Producer, Record, too_big
from pipeline.app.refusal import refuse
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.event import encode_event
from pipeline.core.post import Post, decode_post
from pipeline.core.process import Chain

Counts = tuple[int, int]
"""How many records of a batch became events, and how many rejections."""


class EnrichStage:
    """Takes batches of the posts topic; one instance a process."""

    def __init__(
        self, chain: Chain, producer: Producer, topics: Topics, prefix: str, clock: Callable[[], datetime]
    ) -> None:
        self._chain = chain
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
        records, counts = self.results(batch)
        return self._producer.send(records), counts

    def results(self, batch: RecordBatch) -> tuple[list[Record], Counts]:
        """The records to send for a batch: one event or one rejection for each of its records."""
        now = self._clock()
        posts: list[Post] = []
        sources: list[Any] = []
        refused: list[Record] = []
        for record in batch.records:
            try:
                posts.append(decode_post(record.value or b""))
                sources.append(record)
            except RejectedError as error:
                refused.append(refuse(record, error, "enrich", self._topics, now))
        observed = [datetime.fromtimestamp(record.timestamp / 1000, UTC) for record in sources]
        outcomes = self._chain.process(posts, observed, prefix=self._prefix, now=now)
        events: list[Record] = []
        for outcome, record in zip(outcomes, sources, strict=True):
            if isinstance(outcome, RejectedError):
                refused.append(refuse(record, outcome, "enrich", self._topics, now))
                continue
            key, value = outcome.post.id.encode(), encode_event(outcome)
            if too_big(key, value):
                too_long = RejectedError(
                    f"its event has {len(value)} bytes, more than a topic takes", "too_big"
                )
                refused.append(refuse(record, too_long, "enrich", self._topics, now))
                continue
            events.append(Record(self._topics.events.name, key, value))
        return events + refused, (len(events), len(refused))

    def close(self) -> None:
        """Ends the thread; a batch that Kafka does not take now is enriched again next time."""
        self._producer.abandon()
        self._thread.shutdown()
