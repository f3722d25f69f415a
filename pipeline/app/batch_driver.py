"""Faust over whole record batches: one event is all that was fetched of a partition, not one record.

Faust's cost is per event (conductor, stream, ack), so a batch an event makes it some thirty times
cheaper. And Faust acknowledges when an agent asks for the next event, which says nothing of whether
the last one is safe; here offsets are committed through the ledger alone: only the contiguous prefix
of batches that were confirmed, and what Faust thinks of as acked counts for nothing.

Overrides of faust-streaming 0.15's aiokafka driver; each says which behaviour of Faust it replaces.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Literal, cast

import faust
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as AioTopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from msgspec import Struct

from pipeline.app.consumer_thread import ConsumerThread
from pipeline.app.lease import Lease
from pipeline.core.errors import FatalError
from pipeline.core.ledger import Entry, Lane
from pipeline.core.stalls import Partition, Progress

log = logging.getLogger("groundswell.driver")

# How long a rebalance or a stop waits for batches already in an agent's hands. Shorter than the
# session time-out, or the group would throw the member out while it waits.
DRAIN_SECONDS = 5.0

# How many batches of a topic may wait for the agent, and how many fetches' worth of records. Few: what waits
# in aiokafka instead comes as one larger batch.
WAITING_BATCHES = 4
WAITING_FETCHES = 2

# Between two looks whether a partition is still ours.
LOOK_SECONDS = 0.05

OnLost = Callable[[str, int], None]


Standing = Literal["held", "unknown", "lost"]
"""Its partition is ours, or may be somebody else's by now, or is: what is done of it then is for nothing."""


class Keeper:
    """Who gave batches out, as far as their stages need it. This one is never asked for them back."""

    def on_taken(self) -> None:
        """A batch went from the queue into somebody's hands."""

    def standing(self, _batch: RecordBatch) -> Standing:
        """How the batch stood when this was asked. Thread-safe."""
        return "held"


class RecordBatch(Struct, frozen=True, eq=False):
    """Consecutive records of one partition, as fetched. ``records`` are aiokafka ConsumerRecords."""

    topic: str
    partition: int
    records: list[Any]
    lane: Lane
    entry: Entry
    keeper: Keeper = Keeper()


class BatchConsumer(driver.Consumer, Keeper):
    """The aiokafka consumer of Faust, with batches as messages and the ledger as conscience."""

    _thread: ConsumerThread
    lease: Lease

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lanes: dict[TP, Lane] = {}
        # A worker that has failed sets this to 0: what it holds will never be confirmed.
        self.drain_seconds = DRAIN_SECONDS
        # The partitions that the fetch under way may bring records of; grows while it waits.
        self._wanted: set[TP] = set()
        self._room = asyncio.Event()
        # Counts what makes places of before worthless.
        self._moves = 0
        self._begins: Mapping[TP, int] = {}
        self._ends: Mapping[TP, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        # Called from the constructor of Faust's.
        thread = ConsumerThread(self, loop=self.loop, beacon=self.beacon)
        self.lease = thread.lease = Lease(self.app.conf.broker_session_timeout)
        return thread

    def standing(self, batch: RecordBatch) -> Standing:
        """See :class:`Keeper`. Lanes end before the group is joined anew, so that a fresh lease and then a
        lane that lives mean that the partition was ours at the time of the first look."""
        fresh = self.lease.fresh
        if self.lanes.get(TP(batch.topic, batch.partition)) is not batch.lane:
            return "lost"
        return "held" if fresh else "unknown"

    def on_buffer_full(self, tp: TP) -> None:
        """Faust would fetch nothing of the partition until all queues have run dry, and a second longer."""

    def on_buffer_drop(self, tp: TP) -> None:
        """See :meth:`on_buffer_full`: :meth:`_getmany` asks for what there is room for."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """Fetches of the topics that have room, so that one that is full keeps no other waiting."""
        self._room.clear()
        self._thread.reached = {}
        self._wanted = self._with_room(active_partitions or set())
        if not self._wanted:
            # An empty set would mean all to aiokafka.
            await self.wait_first(self._room.wait(), self.suspend_flow.wait(), timeout=timeout)
            return {}
        return await super()._getmany(self._wanted, timeout)

    def _with_room(self, active: set[TP]) -> set[TP]:
        full = {topic for topic in {tp.topic for tp in active} if not self._has_room(topic)}
        return {tp for tp in active if tp.topic not in full}

    def _has_room(self, topic: str) -> bool:
        waiting = [entry for tp, lane in self.lanes.items() if tp.topic == topic for entry in lane.waiting]
        most = WAITING_FETCHES * self.app.conf.broker_max_poll_records
        return len(waiting) < WAITING_BATCHES and sum(entry.after - entry.first for entry in waiting) < most

    def on_taken(self) -> None:
        """A batch went from the queue into somebody's hands: there may be room for more."""
        more = self._with_room(self._get_active_partitions())
        self._room.set()
        if not more <= self._wanted:
            self._wanted |= more
            self._thread.look_again()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Yields one message a partition and fetch. Replaces Faust's record by record round robin."""
        moves = self._moves
        records, active = await self._wait_next_records(timeout)
        if self.should_stop:
            return
        reached = self._thread.reached if self.flow_active and moves == self._moves else {}
        moves = self._moves
        for tp, place in reached.items():
            if tp not in (records or {}):
                await self._pass_over(tp, place, moves)
        if not records:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        generation = self.app.consumer_generation_id
        for tp, fetched in records.items():
            if not fetched:
                continue
            if moves != self._moves:
                return  # all was sought anew since, and these come again
            stale = not self.flow_active or self.app.consumer_generation_id != generation
            wanted = active is None or tp in active or tp in self._buffered_partitions
            if stale or not wanted:
                # Faust drops these and later takes the hole for a gap of the log: a silent loss.
                self._rewind(tp, fetched[0].offset)
                continue
            read = self._read_offset[tp]
            if read is not None and fetched[0].offset < read:
                continue  # already handed out; the loop above us would drop it too
            await self._tell_lost(tp, fetched[0].offset)
            if moves != self._moves:
                return
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            yield tp, self._as_message(tp, fetched)

    async def _pass_over(self, tp: TP, place: int, moves: int) -> None:
        """At its end the log may hold no records but markers of transactions: nothing is left to do there.
        Unless it was sought anew since the place was seen: then what lies before it comes again."""
        if place > (self._expected(tp) or 0):
            await self._tell_lost(tp, place)
            if moves != self._moves:
                return
            self.lanes.setdefault(tp, Lane()).pass_over(place)

    def _expected(self, tp: TP) -> int | None:
        """The offset behind all that was handed out, None where nothing is known of the partition."""
        lane = self.lanes.get(tp)
        return lane.after if lane is not None and lane.after is not None else self._read_offset[tp]

    async def _tell_lost(self, tp: TP, first: int) -> None:
        """Says what the log's retention took away before it was read; aiokafka goes on without a word.

        Compaction leaves holes as well, and those lose nothing: only where the log now begins counts.
        """
        expected = self._expected(tp)
        if expected is None or first <= expected:
            return
        begin = (await self.earliest_offsets(tp)).get(tp, 0)
        lost = min(begin, first) - expected
        if lost > 0:
            log.error(
                "%s-%d: offsets %d to %d were removed by retention before they were read:"
                " %d records are lost; going on behind them",
                tp.topic,
                tp.partition,
                expected,
                expected + lost - 1,
                lost,
            )
            cast(BatchTransport, self.transport).on_lost(tp.topic, lost)

    def _rewind(self, tp: TP, offset: int) -> None:
        if tp in self.assignment():
            self._thread.seek(tp, offset)

    def _as_message(self, tp: TP, fetched: list[Any]) -> Any:
        lane = self.lanes.setdefault(tp, Lane())
        entry = lane.begin(fetched[0].offset, fetched[-1].offset + 1)
        message = self._to_message(tp, fetched[0])
        message.key = None
        # Faust declares bytes here; the raw codec hands on whatever it is.
        message.value = cast(Any, RecordBatch(tp.topic, tp.partition, fetched, lane, entry, self))
        return message

    def ack(self, message: Message) -> bool:
        """Faust's own acks count for nothing: only :meth:`Lane.confirm` does."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Faust marks offsets that it did not see as done; the ledger knows better."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self.lanes) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        lane = self.lanes.get(tp)
        return lane.committable if lane else None

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Faust notes an offset as committed even when the commit failed; take that back."""
        before = {tp: self._committed_offset[tp] for tp in offsets}
        done = bool(await super()._commit_offsets(offsets, start_new_transaction))
        if not done:
            self._committed_offset.update(before)
        return done

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """A broker that is away for a while must not crash the worker: the next interval tries again."""
        return bool(await self._thread.call_thread(self._commit_patiently, offsets))

    async def _commit_patiently(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._thread._ensure_consumer()
        held = consumer.assignment()
        wanted = {
            AioTopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
            if AioTopicPartition(tp.topic, tp.partition) in held
        }
        try:
            await consumer.commit(wanted)
        except KafkaError as error:
            log.warning("offsets are not committed now, they will be with the next interval: %r", error)
            return False
        return True

    async def wait_empty(self) -> None:
        """Waits for the batches in agents' hands, then commits. Batches still queued are read again later."""
        deadline = asyncio.get_running_loop().time() + self.drain_seconds
        while any(lane.taken for lane in self.lanes.values()):
            # Who was thrown out of the group already has nothing to gain by waiting.
            if asyncio.get_running_loop().time() > deadline or not self.lease.fresh:
                log.warning("batches in hand are not confirmed in time; they will be processed again")
                break
            await asyncio.sleep(0.02)
        await self.commit_and_end_transactions()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """After Faust has drained and committed, late confirmations go to lanes nobody looks at."""
        await super().on_partitions_revoked(revoked)
        self._moves += 1
        for tp in revoked:
            self.lanes.pop(tp, None)

    async def perform_seek(self) -> None:
        """Every seek to the committed offsets begins new lanes: all behind them is fetched again."""
        self._moves += 1
        self.lanes.clear()
        await super().perform_seek()
        self._moves += 1  # what was asked meanwhile does not count either

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """aiokafka leaves a partition where it stands as long as nothing of it was committed. What was
        fetched of it and dropped in a rebalance would never come again: such a one begins anew."""
        committed = await super().seek_to_committed()
        if unknown := [tp for tp, offset in committed.items() if not offset]:
            await self._thread.begin_anew(unknown)
        return committed

    async def survey(self) -> None:
        """Asks where the log of each partition begins and ends, which one that is not fetched does not tell.
        Raises KafkaError when Kafka does not answer."""
        held = list(self.assignment())
        self._ends = await self.highwaters(*held)
        self._begins = await self.earliest_offsets(*held)

    def progress(self) -> dict[Partition, Progress]:
        """How far each partition is that this consumer holds, as far as that is known."""
        found = {}
        for tp in self.assignment():
            end = max(self.highwater(tp) or 0, self._ends.get(tp, 0))
            lane = self.lanes.get(tp)
            done = lane.committable if lane else None
            if done is None:
                done = self._committed_offset[tp]
            if done is None:
                done = self._begins.get(tp)
            if done is not None:
                found[tp.topic, tp.partition] = Progress(done, end)
        return found

    def states(self) -> dict[Partition, str]:
        """What is known of each partition, in words for the log."""
        return {(tp.topic, tp.partition): self._state(tp) for tp in self.assignment()}

    def _state(self, tp: TP) -> str:
        lane = self.lanes.get(tp)
        if lane is None:
            return f"nothing was fetched since it was assigned, the log ends at {self._ends.get(tp)}"
        oldest = "none is open" if lane.oldest is None else f"the oldest open one begins at {lane.oldest}"
        return (
            f"fetched up to {lane.after} of {self.highwater(tp)}, {lane.open} batches not confirmed,"
            f" {lane.taken} of them in hand, {oldest}"
        )

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's livelock detector counts single acks, which there are none of here."""


class BatchTransport(driver.Transport):
    """The aiokafka transport with :class:`BatchConsumer`."""

    Consumer = BatchConsumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_lost: OnLost = lambda _topic, _count: None


def install(app: faust.App, on_lost: OnLost) -> None:
    """Makes the app consume by batches; call before it starts. ``on_lost`` hears of a topic and how many of
    its records were removed before they were read."""
    transport = BatchTransport(app.conf.broker_consumer, app)
    transport.on_lost = on_lost
    app.transport = transport


def take(batch: RecordBatch) -> None:
    """An agent takes the batch in hand: a rebalance or a stop now waits for it."""
    batch.entry.taken = batch.entry.handed = True
    batch.keeper.on_taken()


def let_go(batch: RecordBatch) -> None:
    """What is left to do of the batch takes long and may be done again: no rebalance or stop waits for it."""
    batch.entry.taken = False


def is_ours(batch: RecordBatch, ended: Callable[[float], bool]) -> bool:
    """Whether nobody else has the batch's partition; waits while nobody can know. Thread-safe.

    ``ended`` rests for so many seconds, less where the process is told to end, and says whether it is; then
    this raises FatalError."""
    while (standing := batch.keeper.standing(batch)) == "unknown":
        if ended(LOOK_SECONDS):
            raise FatalError("stopped while the consumer group did not answer; it is done again")
    return standing == "held"


def confirm(batch: RecordBatch) -> None:
    """All records of the batch are safe elsewhere; their offsets may be committed. Event loop only."""
    batch.lane.confirm(batch.entry)
