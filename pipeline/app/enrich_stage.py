"""The stage from posts to events: decode, run the chain, hand the events to Kafka in the order of the log.

The work of a batch runs in one thread of its own, so that the event loop keeps the group's heartbeat;
batches follow each other, and up to a few wait together for Kafka's confirmation.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue
from typing import Any
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from pipeline.app import amends
from pipeline.app.amends import Late, LateNotes
from pipeline.app.batch_driver import LOOK_SECONDS, RecordBatch, is_ours
from pipeline.app.cases.notices import notices, reading_customers
from pipeline.app.changes import as_record
from pipeline.app.directory.gate import Gate, OpenGate
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer, Record, too_big
from pipeline.app.refusal import refuse
from pipeline.app.topics import Topics
from pipeline.core.errors import FatalError, RejectedError, RetryableError
from pipeline.core.event import Event, encode_event
from pipeline.core.headers import before_of, operation_of
from pipeline.core.ledger import Lane
from pipeline.core.newest import Newest
from pipeline.core.post import Post, decode_post
from pipeline.core.process import Chain, Outcome
from pipeline.core.rejection import identity_under
from pipeline.core.rerouting import Before, Lately, rerouted
from pipeline.core.retention import Expiry
from pipeline.core.version import version_of

log = logging.getLogger("groundswell.enrich")

# Before what could not be enriched for want of something is tried again.
_REST_SECONDS = 0.5
# After which a batch that Kafka has not confirmed is noted.
_NOTE_SECONDS = 0.5
# How long an end waits for what makes good that something was sent too late.
_AMENDS_SECONDS = 10.0

Counts = tuple[int, int]
"""How many records of a batch are dealt with, and how many were rejected."""

_NOTHING: Counts = (0, 0)
"""Of a batch that was let go of, for it is another's."""


class _Source(Struct, gc=False, frozen=True):
    """A record as fetched, the operation that its headers tell, and the routes that the post had where it is
    enriched once more."""

    record: Any
    operation: int
    before: Before | None


def _moments(sources: Iterable[_Source]) -> list[datetime]:
    """When the log took in each; many at once, so that few different moments have to be made."""
    made: dict[int, datetime] = {}
    found = []
    for source in sources:
        stamp = source.record.timestamp
        moment = made.get(stamp)
        if moment is None:
            moment = made[stamp] = _taken_in(source.record)
        found.append(moment)
    return found


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
        gate: Gate | None = None,
        patience: Patience | None = None,
        amends: amends.Amends = amends.none,
        notes: LateNotes | None = None,
        expiry: Callable[[datetime], Expiry] = lambda _: Expiry(),
    ) -> None:
        """``load`` gives the memory of a partition; ``patience`` asks again while Kafka is away; ``amends``
        gives what is to be sent after batches that turned out not to be ours any more, which are kept in
        ``notes`` until then; ``expiry`` tells what is past its time at a moment."""
        self._chain = chain
        self._reads_customer = reading_customers(chain)
        self._load = load
        self._lanes: dict[int, tuple[Lane, Newest]] = {}
        # As long as the memory of the partition beside which it stands, for the same reason.
        self._lately: WeakKeyDictionary[Newest, Lately] = WeakKeyDictionary()
        self._producer = producer
        self._topics = topics
        self._prefix = prefix
        self._clock = clock
        self._gate = gate or OpenGate()
        self._patience = patience
        self._amends = amends
        self._notes = notes
        self._late: SimpleQueue[Late] = SimpleQueue()
        self._amending: set[Future[None]] = set()
        self._expiry = expiry
        self._closed = threading.Event()
        self._amender = ThreadPoolExecutor(1, thread_name_prefix="groundswell-amends")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="groundswell-enrich")

    async def begin(self, batch: RecordBatch) -> asyncio.Future[Counts]:
        """Returns once the results are handed over; the future is done when Kafka has confirmed them."""
        loop = asyncio.get_running_loop()
        delivery, counts = await loop.run_in_executor(self._thread, self._work, batch)
        confirmed: asyncio.Future[None] = asyncio.wrap_future(delivery)

        return asyncio.ensure_future(self._see_through(batch, confirmed, counts))

    async def _see_through(
        self, batch: RecordBatch, confirmed: asyncio.Future[None], counts: Counts
    ) -> Counts:
        if counts is _NOTHING:
            return counts
        late = Late(batch.partition, batch.entry.first, batch.entry.after)
        # Whatever kept it from being confirmed at once may have lasted long enough for another to go on.
        noting = asyncio.get_running_loop().call_later(_NOTE_SECONDS, self._note, late)
        try:
            await confirmed
        finally:
            noting.cancel()
        while (standing := batch.keeper.standing(batch)) == "unknown":
            self._note(late)
            await asyncio.sleep(LOOK_SECONDS)
        if standing == "lost":
            self._note(late)
            self._late.put(late)
            amending = self._amender.submit(self._make_amends)
            self._amending.add(amending)
            await asyncio.wrap_future(amending)
            self._amending.discard(amending)
        elif self._notes:
            self._notes.strike(late)
        return counts

    def _note(self, late: Late) -> None:
        if self._notes:
            self._notes.enter(late)

    def make_good(self, partitions: int) -> None:
        """Makes amends for what a process before us may have sent too late and had no time to make good, of a
        topic of so many ``partitions``. Returns at once; what cannot be sent now is tried again next time."""
        for late in self._notes.left() if self._notes else ():
            if late.partition < partitions:  # else the topic was made anew
                self._late.put(late)
        self._amender.submit(self._make_amends).add_done_callback(_tell)

    def _make_amends(self) -> None:
        """For all batches that are known to be late by now, for each time may take a while."""
        late = []
        while not self._late.empty():
            late.append(self._late.get())
        if late:
            find = partial(self._amends, late)
            self._producer.deliver(self._patience.insist(find) if self._patience else find())
        if self._notes:
            for one in late:
                self._notes.strike(one)

    def _work(self, batch: RecordBatch) -> tuple[Future[None], Counts]:
        if not is_ours(batch, self._closed.wait):
            return self._producer.send([]), _NOTHING
        newest = self._newest(batch)
        while True:
            self._gate.wait(batch.records)
            try:
                records, counts = self.results(batch.records, newest)
            except RetryableError as error:
                # What a step reads was taken away between the gate and the step; nothing was noted yet.
                log.warning("%s", error)
                if self._closed.wait(_REST_SECONDS):
                    raise FatalError(f"stopped while it waited: {error}") from error
                continue
            if not is_ours(batch, self._closed.wait):
                log.info("%s-%d went to another process, which does it", batch.topic, batch.partition)
                return self._producer.send([]), _NOTHING
            return self._producer.send(records), counts

    def _newest(self, batch: RecordBatch) -> Newest:
        """The memory of the partition, read anew with each assignment: another may have held it meanwhile."""
        lane, newest = self._lanes.get(batch.partition, (None, None))
        if lane is not batch.lane or newest is None:
            load = partial(self._load, batch.partition)
            newest = self._patience.insist(load) if self._patience else load()
            self._lanes[batch.partition] = (batch.lane, newest)
        return newest

    def results(self, fetched: Sequence[Any], newest: Newest) -> tuple[list[Record], Counts]:
        """The records to send for what was fetched of a partition: of each an event with its notices, or a
        rejection, or nothing where a newer state of the post is out already."""
        now = self._clock()
        posts, sources, refused = self._decode(fetched, newest, now)
        outcomes = self._chain.process(
            posts,
            _moments(sources),
            prefix=self._prefix,
            now=now,
            operations=[source.operation for source in sources],
        )
        events: list[Record] = []
        changes: list[Record] = []
        notes: list[Record] = []
        for outcome, source in zip(outcomes, sources, strict=True):
            outcome, new = self._rerouted(outcome, source.before, newest)
            try:
                sent = self._publishable(outcome, newest)
            except RejectedError as error:
                refused.append(self._refuse(source, error, now))
                continue
            if sent is None:
                continue
            event, record = sent
            if newest.note(event.post.id, event.version):
                changes.append(as_record(event.post.id, event.version, self._topics))
            events.append(record)
            if source.before is not None:
                self._lately[newest].note(event)
            if event.routes:
                notes += notices(event, self._topics, new)
        return changes + events + notes + refused, (len(fetched) - len(refused), len(refused))

    def _rerouted(
        self, outcome: Outcome, before: Before | None, newest: Newest
    ) -> tuple[Outcome, frozenset[str] | None]:
        """What comes once more with the routes that it may have, and the queues that are new to it; None
        where that may be all."""
        if before is None or not isinstance(outcome, Event):
            return outcome, None
        lately = self._lately.setdefault(newest, Lately())
        return rerouted(outcome, lately.before(outcome, before), self._reads_customer)

    def _decode(
        self, fetched: Sequence[Any], newest: Newest, now: datetime
    ) -> tuple[list[Post], list[_Source], list[Record]]:
        """The posts that may still be published, each with what it came from, and the rejections.

        What is past its time is passed over, but for deletions: their post may still be there."""
        # By Kafka's clock where ours is ahead: what is passed over here is not found again.
        expiry = self._expiry(min([now, *map(_taken_in, fetched[-1:])]))
        drops = expiry.drops_posts
        posts: list[Post] = []
        sources: list[_Source] = []
        refused: list[Record] = []
        for record in fetched:
            headers = record.headers
            source = _Source(record, operation_of(headers), before_of(headers) if headers else None)
            try:
                post = decode_post(record.value or b"")
            except RejectedError as error:
                refused.append(self._refuse(source, error, now))
                continue
            if drops and not post.deleted and expiry.post(post, _taken_in(record)):
                continue
            version = version_of(post, source.operation)
            if newest.admits(post.id, newest.lift(post.id, version)):
                posts.append(post)
                sources.append(source)
        return posts, sources, refused

    def _publishable(self, outcome: Outcome, newest: Newest) -> tuple[Event, Record] | None:
        """The event to publish and its record, None where a newer state is out; raises the RejectedError of
        a refusal."""
        if isinstance(outcome, RejectedError):
            raise outcome
        post_id = outcome.post.id
        # Only now, for a state that was rejected must lift no other and stand in no other's way; and once
        # more, for the batch itself may hold the newer state or the re-link.
        version = newest.lift(post_id, outcome.version)
        event = outcome if version == outcome.version else replace(outcome, version=version)
        key, value = post_id.encode(), encode_event(event)
        if too_big(key, value):
            raise RejectedError(f"its event has {len(value)} bytes, more than a topic takes", "too_big")
        if not newest.admits(post_id, version):
            return None
        return event, Record(self._topics.events.name, key, value)

    def _refuse(self, source: _Source, error: RejectedError, now: datetime) -> Record:
        record, operation = source.record, source.operation
        identity = identity_under(record.value or b"", operation)
        return refuse(record, error, "enrich", self._topics, now, identity=identity, operation=operation)

    def adopt(self, chain: Chain) -> Future[Chain]:
        """Puts a chain in the place of the present one, which is the result, between two batches."""
        return self._thread.submit(self._swap, chain)

    def _swap(self, chain: Chain) -> Chain:
        old, self._chain = self._chain, chain
        self._reads_customer = reading_customers(chain)
        return old

    def close(self) -> None:
        """Ends the thread; a batch that Kafka does not take now is enriched again next time."""
        wait(self._amending, _AMENDS_SECONDS)
        self._closed.set()
        self._gate.end()
        if self._patience:
            self._patience.end()
        self._producer.abandon()
        self._thread.shutdown()
        self._amender.shutdown()


def _taken_in(record: Any) -> datetime:
    """When the log took in a record."""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def _tell(amending: Future[None]) -> None:
    if error := amending.exception():
        log.warning("what was sent too late is not made good: %s; the next start tries again", error)
