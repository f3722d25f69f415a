"""From the customers topic to the index of customers, in the order of each key.

The version of a document is its record's offset plus one, so records may be read again, in any order: the
newest of a key wins. A deletion whose version the server has forgotten (index.gc_deletes) stands in the log
behind the older record, so it is applied once more after it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from pipeline.app.batch_driver import RecordBatch, is_ours
from pipeline.app.enrich_stage import Counts
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer, Record
from pipeline.app.refusal import refuse
from pipeline.app.topics import Topics
from pipeline.core.customer import Customer, decode_customer
from pipeline.core.errors import RejectedError
from pipeline.core.post import MAX_ID_BYTES
from sinks.store import Put, Store

KIND = "customers"
"""The index is PREFIX-customers."""

# Bytes of records in one request.
_REQUEST = 4 * 1024 * 1024


def document_of(customer: Customer, updated_at: datetime) -> dict[str, Any]:
    """A customer as the index holds it; ``updated_at`` is when the log took the record in."""
    return {**msgspec.to_builtins(customer), "updated_at": updated_at}


class CustomerStage:
    """Takes batches of the customers topic; one instance a process. ``store`` is prepared already."""

    def __init__(
        self,
        store: Store,
        producer: Producer,
        topics: Topics,
        clock: Callable[[], datetime],
        patience: Patience,
    ) -> None:
        self._store = store
        self._producer = producer
        self._topics = topics
        self._clock = clock
        self._patience = patience
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="groundswell-customers")

    async def begin(self, batch: RecordBatch) -> asyncio.Future[Counts]:
        """Returns at once; the future is done when each record is in the index or set aside."""
        return asyncio.ensure_future(self._in_turn(batch))

    async def _in_turn(self, batch: RecordBatch) -> Counts:
        async with self._turns[batch.partition]:
            loop = asyncio.get_running_loop()
            ours = partial(is_ours, batch, self._closed.wait)
            return await loop.run_in_executor(self._threads, self.write, batch.records, ours)

    def write(self, records: list[Any], ours: Callable[[], bool] = lambda: True) -> Counts:
        """Consecutive records (aiokafka ConsumerRecords) of one partition into the index: how many are
        dealt with, and how many are refused. Waits while Elasticsearch is away.

        Ends where they are no longer ``ours``: another may have removed a customer since, and Elasticsearch
        soon forgets the version of what is gone."""
        refused: list[Record] = []
        newest: dict[str, tuple[Put, int]] = {}
        for record in records:
            try:
                put = put_of(record)
            except RejectedError as error:
                refused.append(self._refuse(record, error))
                continue
            newest[put.id] = put, len(record.value or b"") + 256
        for portion in _portions(list(newest.values())):
            self._patience.insist(lambda portion=portion: ours() and self._store.put(portion))  # type: ignore[misc]
        self._producer.deliver(refused)
        return len(records) - len(refused), len(refused)

    def _refuse(self, record: Any, error: RejectedError) -> Record:
        # All tombstones have one content; their keys tell them apart.
        identity = (record.key or b"") + b"\0" + (record.value or b"")
        return refuse(record, error, "directory", self._topics, self._clock(), identity=identity)

    def close(self) -> None:
        """Ends the thread; what still waits for Elasticsearch gives up and is read again next time."""
        self._closed.set()
        self._patience.end()
        self._producer.abandon()
        self._threads.shutdown()


def put_of(record: Any) -> Put:
    """What a record (an aiokafka ConsumerRecord) makes of the index. RejectedError where it makes nothing."""
    key = _id_of(record.key)
    if record.value is None:
        return Put(key, record.offset + 1, None)
    customer = decode_customer(record.value)
    if customer.id != key:
        raise RejectedError(f"the record's key is not the customer's id, {customer.id[:80]}")
    updated_at = datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC)
    return Put(key, record.offset + 1, document_of(customer, updated_at))


def _id_of(key: bytes | None) -> str:
    if not key or len(key) > MAX_ID_BYTES:
        raise RejectedError(f"a customer's id has 1 to {MAX_ID_BYTES} bytes")
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise RejectedError("the record's key is no text") from None


def _portions(puts: list[tuple[Put, int]]) -> Iterator[list[Put]]:
    portion: list[Put] = []
    size = 0
    for put, weight in puts:
        if portion and size + weight > _REQUEST:
            yield portion
            portion, size = [], 0
        portion.append(put)
        size += weight
    if portion:
        yield portion
