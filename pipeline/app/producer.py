"""The way into Kafka: an idempotent producer that tells when a whole batch is safe.

confluent-kafka, for its speed (DESIGN, "Who does what"). The partitioner is Kafka's own murmur2, as
every other client here uses, so that a post has one partition whoever sends it.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as ConfluentProducer
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.topics import MAX_RECORD_BYTES
from pipeline.core.errors import FatalError

log = logging.getLogger("groundswell.producer")

# Room that Kafka's own framing takes beside key and value.
_FRAMING_BYTES = 1024
_ABANDONED = "stopped while Kafka was not taking records; they are sent again next time"


class Record(Struct, gc=False, frozen=True):
    """What to send. A ``value`` of None is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, str | bytes | None], ...] = ()


def too_big(key: bytes, value: bytes) -> bool:
    """Whether Kafka would refuse this record for its size."""
    return len(key) + len(value) + _FRAMING_BYTES > MAX_RECORD_BYTES


class Producer:
    """Sends batches; thread-safe. Order is kept a key, also over retries.

    A broker that is away is waited for without end: the bounded queue makes ``send`` block, which is
    the back-pressure. Only a fatal error, or a record that can never be taken, fails a batch.
    """

    def __init__(self, brokers: Brokers, *, client_id: str = "groundswell") -> None:
        self._brokers = brokers
        self._away = False
        self._producer = ConfluentProducer(
            {
                **brokers.for_confluent(),
                "client.id": client_id,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "compression.type": "zstd",
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_RECORD_BYTES,
                "queue.buffering.max.messages": 100_000,
                "queue.buffering.max.kbytes": 128 * 1024,
                # No time-out of their own: a record is either confirmed or the process dies with it.
                "delivery.timeout.ms": 0,
                # What librdkafka says of a broker that is away is for its authors; see _trouble.
                "log_level": 0,
                "error_cb": self._trouble,
            },
            logger=log,
        )
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="groundswell-producer", daemon=True)
        self._poller.start()

    def send(self, records: Sequence[Record]) -> Future[None]:
        """Hands over the records in order; the future is done when Kafka has confirmed every one.

        Blocks while the queue is full. The future fails with FatalError, also after :meth:`abandon`.
        """
        delivery = _Delivery(len(records), self._relief)
        if not records:
            return delivery.future
        produce, confirm = self._producer.produce, delivery.confirm
        for record in records:
            while True:
                try:
                    if record.headers:
                        headers = list(record.headers)
                        produce(record.topic, record.value, record.key, headers=headers, on_delivery=confirm)
                    else:
                        produce(record.topic, record.value, record.key, on_delivery=confirm)
                    break
                except BufferError:
                    if self._abandoned.wait(0.05):
                        delivery.abandon()
                        return delivery.future
                except KafkaException as error:
                    delivery.fail(error.args[0])
                    return delivery.future
        return delivery.future

    def deliver(self, records: Sequence[Record]) -> None:
        """Sends the records and waits until Kafka has them; raises FatalError as ``send`` says."""
        self.wait(self.send(records))

    def wait(self, future: Future[None]) -> None:
        """Waits until Kafka has what was sent; raises FatalError as ``send`` says."""
        while True:
            try:
                return future.result(timeout=0.2)
            except TimeoutError:
                if self._abandoned.is_set():
                    raise FatalError(_ABANDONED) from None

    @property
    def waiting(self) -> int:
        """How many records Kafka has not confirmed."""
        return len(self._producer)

    def abandon(self) -> None:
        """The process ends: nobody waits for Kafka any longer. What was not confirmed is done again."""
        self._abandoned.set()

    def _trouble(self, error: KafkaError) -> None:
        """One line a spell; librdkafka itself tries again without end."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            if not self._away:
                log.warning("Kafka does not answer at %s; records wait until it does", self._brokers)
            self._away = True
        elif error.code() != KafkaError._TRANSPORT:
            log.warning("Kafka at %s: %s", self._brokers, error.str())

    def _relief(self) -> None:
        if self._away:
            self._away = False
            log.warning("Kafka takes records again")

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.2)

    def close(self, timeout: float = 10.0) -> None:
        """Waits for what is under way, at most ``timeout`` seconds, and lets go. After :meth:`abandon` what
        Kafka was not yet sent stays here: others have our work by now, and it would go out behind theirs."""
        if self._abandoned.is_set():
            self._producer.purge(in_flight=False)
        left = self._producer.flush(timeout)
        if left:
            log.warning("%d records were not confirmed at the end; they will be sent again", left)
        self._closing.set()
        self._poller.join(1.0)


class _Delivery:
    """Counts the confirmations of one batch; called by the poller's thread, at the end the flusher's."""

    def __init__(self, size: int, relief: Callable[[], None]) -> None:
        self.future: Future[None] = Future()
        self._relief = relief
        self._size = size
        # Counts without a lock, which would cost as much again as all the rest: one step for the interpreter.
        self._count = itertools.count(1).__next__
        self._lock = threading.Lock()
        if not size:
            self.future.set_result(None)

    def confirm(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.fail(error)
            return
        if self._count() == self._size:
            self._relief()
            with self._lock:
                if not self.future.done():
                    self.future.set_result(None)

    def fail(self, error: KafkaError) -> None:
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            self._give_up("Kafka denies this account WRITE on a topic: see `groundswell check --servers`")
            return
        if error.code() == KafkaError._PURGE_QUEUE:
            self.abandon()
            return
        self._give_up(f"Kafka did not take a record: {error.str()}")

    def abandon(self) -> None:
        self._give_up(_ABANDONED)

    def _give_up(self, reason: str) -> None:
        with self._lock:
            if not self.future.done():
                self.future.set_exception(FatalError(reason))
