"""Builds the directory of this machine: a thread that follows all partitions of the customers topic.

No consumer group, for every machine needs all customers; how far it has read stands in the directory
itself, committed together with what was read. It says every second how fresh the directory is. Where
what it has does not fit the topic any more, it reads all anew. See `directory_plan` for when that is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as Code
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.directory.changes import change_of
from pipeline.app.directory.plan import Ends, starts
from pipeline.app.health import Health
from pipeline.app.patience import Patience
from pipeline.core.errors import ConfigError, RejectedError, RetryableError
from pipeline.core.metrics import CUSTOMER_CHANGES, DIRECTORY_AGE
from pipeline.identity.directory import DATA, Change, DirectoryReader, DirectoryWriter

log = logging.getLogger("groundswell.directory")

PORTION = 10_000
# How long a change may wait for others to be committed with it.
PORTION_SECONDS = 0.2
# How often the directory is held against the ends of the topic.
LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
# How long another builder on this machine may take to end.
LOCK_SECONDS = 20.0
# A consumer that brings nothing for so long, with records to bring, is taken for dead: one of a topic that
# was deleted and made anew under it may be.
STALL_SECONDS = 10.0


class _Goal(Struct, frozen=True):
    """Where the partitions ended at a moment: once all is read up to there, it was fresh at ``at``."""

    at: datetime
    ends: dict[int, int]


class DirectoryBuilder:
    """The one writer of the directory of this machine. ``over`` is done when the thread has ended, with
    the failure that ended it."""

    def __init__(  # noqa: PLR0913 - the builder's collaborators, each handed in once
        self,
        brokers: Brokers,
        topic: str,
        path: Path,
        *,
        health: Health,
        patience: Patience,
        clock: Callable[[], datetime],
    ) -> None:
        self.over: Future[None] = Future()
        self._brokers = brokers
        self._topic = topic
        self._path = path
        self._health = health
        self._patience = patience
        self._clock = clock
        self._ending = threading.Event()
        self._applied: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        self._goal: _Goal | None = None
        self._fresh_at: datetime | None = None
        self._looked = self._moved = float("-inf")
        self._thread = threading.Thread(target=self._run, name="groundswell-directory", daemon=True)

    def start(self) -> None:
        """Starts the thread; the role is not ready until the directory has all that the topic has."""
        self._health.waits("directory", "reading the customers")
        self._thread.start()

    def end(self) -> None:
        """Ends the thread; what it has committed stays. May be called twice."""
        self._ending.set()
        self._patience.end()
        if self._thread.is_alive():
            self._thread.join()

    def is_past(self, places: Mapping[int, int]) -> bool:
        """Whether the directory has the records at these offsets of these partitions."""
        applied = self._applied
        return all(applied.get(partition, 0) > offset for partition, offset in places.items())

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._follow()
        except Exception as error:
            if not self._ending.is_set():
                self.over.set_exception(error)
                return
        self.over.set_result(None)

    def _follow(self) -> None:
        """Reads on until it is told to end, or until the topic has to be looked at from the start."""
        consumer = self._consumer()
        writer: DirectoryWriter | None = None
        try:
            ends = self._patience.insist(lambda: self._ends(consumer))
            writer, begin = self._open(ends)
            consumer.assign([TopicPartition(self._topic, number, offset) for number, offset in begin.items()])
            while not self._ending.is_set() and self._step(consumer, writer):
                pass
        except KafkaException as error:
            log.warning("the customers topic cannot be read now: %s; trying again", error)
            self._ending.wait(1.0)
        finally:
            consumer.close()
            if writer is not None:
                writer.close()

    def _open(self, ends: Ends) -> tuple[DirectoryWriter, dict[int, int]]:
        """The directory, emptied where it cannot be gone on with, and where to read each partition from."""
        writer = self._writer()
        reader = DirectoryReader(self._path)
        fresh_at = reader.fresh_at()
        reader.close()
        begin, why = starts(writer.positions(), ends, fresh_at, self._clock())
        if why:
            log.warning("reading all customers anew: %s", why)
            writer.close()
            # Who reads it finds the new one by itself, and has the old one before the eyes until then.
            (self._path / DATA).unlink(missing_ok=True)
            writer = self._writer()
        self._applied = writer.positions()
        self._reached = dict(begin)
        self._goal = None
        return writer, begin

    def _writer(self) -> DirectoryWriter:
        """The writer. One before us may still be about to end, when its supervisor was killed."""
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return DirectoryWriter(self._path)
            except ConfigError as error:
                if time.monotonic() > deadline or self._ending.is_set():
                    raise
                self._health.waits("directory", str(error))
                self._ending.wait(0.5)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                **self._brokers.for_confluent(),
                "client.id": "groundswell-directory",
                "group.id": self._brokers.reader_group,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "log_level": 0,
            },
            logger=log,
        )

    def _ends(self, consumer: Consumer) -> Ends:
        """Partition to its first offset and the offset after its last.

        A topic that is not there is no topic without customers: somebody is about to make it anew.
        """
        try:
            described = consumer.list_topics(self._topic, timeout=_ANSWER_SECONDS).topics[self._topic]
            if described.error is not None or not described.partitions:
                raise RetryableError(f"Kafka at {self._brokers} has no topic {self._topic}")
            return {
                number: consumer.get_watermark_offsets(
                    TopicPartition(self._topic, number), timeout=_ANSWER_SECONDS, cached=False
                )
                for number in described.partitions
            }
        except KafkaException as error:
            raise RetryableError(
                f"Kafka at {self._brokers} does not give the topic {self._topic}: {error}"
            ) from error

    def _step(self, consumer: Consumer, writer: DirectoryWriter) -> bool:
        """Takes in what there is; False where the topic has to be looked at from the start."""
        changes: list[Change] = []
        for message in consumer.consume(PORTION, timeout=PORTION_SECONDS):
            error, number, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() == Code._AUTO_OFFSET_RESET:
                return False
            if number is None or offset is None or (error and error.code() != Code._PARTITION_EOF):
                self._ending.wait(0.1)
                continue  # the client itself tries again
            if error is None:
                changes += _changes(message)
            self._reached[number] = max(self._reached.get(number, 0), offset + (error is None))
            self._moved = time.monotonic()
        if changes:
            writer.apply(changes)
            self._applied = writer.positions()
            self._health.meters.count(CUSTOMER_CHANGES, len(changes), self._health.role)
        return self._look(consumer, writer)

    def _look(self, consumer: Consumer, writer: DirectoryWriter) -> bool:
        """Says how fresh the directory is; False where the topic ends before what was read of it."""
        if self._goal is None and time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            # The moment before the question: what came in between may be missing.
            at = self._clock()
            try:
                ends = {number: after for number, (_, after) in self._ends(consumer).items()}
            except RetryableError as error:
                self._health.waits("kafka", str(error))
            else:
                self._health.works("kafka")
                if any(offset > ends.get(number, 0) for number, offset in self._reached.items()):
                    return False
                self._goal = _Goal(at, ends)
                self._moved = max(self._moved, time.monotonic() - LOOK_SECONDS)
        goal = self._goal
        if goal is not None and all(self._reached.get(n, 0) >= end for n, end in goal.ends.items()):
            writer.note_fresh(goal.at)
            self._fresh_at, self._goal = goal.at, None
            self._health.works("directory")
        self._tell_age(goal)
        if self._goal is not None and time.monotonic() - self._moved > STALL_SECONDS:
            log.warning("Kafka brings no customers, though there are some; asking anew")
            return False
        return True

    def _tell_age(self, goal: _Goal | None) -> None:
        if self._fresh_at is not None:
            age = (self._clock() - self._fresh_at).total_seconds()
            self._health.meters.set(DIRECTORY_AGE, max(age, 0.0), self._health.role)
        elif goal is not None:
            read, whole = sum(self._reached.values()), sum(goal.ends.values())
            self._health.waits("directory", f"reading the customers, {read} of {whole} records")


def _changes(message: Message) -> list[Change]:
    """The change of a customer that a record is; none where it cannot be read: the stage of the customers
    topic rejects it."""
    number, offset = message.partition(), message.offset()
    assert number is not None
    assert offset is not None
    try:
        return [change_of(number, offset, message.key(), message.value())]
    except RejectedError as error:
        log.warning("record %d of partition %d of the customers is left out: %s", offset, number, error)
        return []
