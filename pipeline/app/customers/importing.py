"""A file of customers against the topic: what differs is found first, checked, and only then sent.

What is to be sent waits in a file without a name, so memory stays bounded, and a file that turns out to be
damaged or too bold has changed nothing. Interrupted while it sends, the same import goes on where it
stopped, for what is there already is unchanged then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from tempfile import SpooledTemporaryFile
from typing import IO

import msgspec
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.customers.books import Books
from pipeline.app.customers.file import Bad, CustomerFile, Good, Summary
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record, too_big
from pipeline.core.customer import encode_customer
from pipeline.core.errors import ConfigError

_IN_MEMORY = 32 * 1024 * 1024
_PORTION = 2000
_IN_FLIGHT = 8


class Finding(Struct, frozen=True):
    """What was wrong in a row. ``field`` is empty where the whole row was refused."""

    line: int
    id: str
    field: str
    problem: str


def held(brokers: Brokers, topic: str) -> Books:
    """What the topic holds. RetryableError where Kafka is away."""
    books = Books()
    hold = books.hold
    for portion in read_topic(brokers, topic):
        for record in portion:
            hold(record.key, record.value)
    return books


class Import:
    """One import: :meth:`findings` reads the file to its end, :meth:`check` judges it, :meth:`send` acts."""

    def __init__(self, file: CustomerFile, books: Books, *, replace: bool) -> None:
        self.summary = Summary()
        self._file = file
        self._books = books
        self._replace = replace
        self._before = books.customers
        self._outbox = Outbox()

    def findings(self) -> Iterator[Finding]:
        """Everything that is wrong, as it is read."""
        for row in self._file.rows():
            self.summary.rows += 1
            if isinstance(row, Bad):
                yield self._refuse(row)
            else:
                yield from self._take(row)
        if self._replace:
            for key in self._books.missing():
                self.summary.removed += 1
                self._outbox.put(key, None)

    def _refuse(self, row: Bad) -> Finding:
        self.summary.refused += 1
        if row.id:
            self._books.name(row.id.encode())
        return Finding(row.line, row.id, "", row.why)

    def _take(self, row: Good) -> Iterator[Finding]:
        said = row.taken
        key = said.id.encode()
        value = None if said.customer is None else encode_customer(said.customer)
        if value is not None and too_big(key, value):
            yield self._refuse(Bad(row.line, said.id, "it is too long for the topic"))
            return
        change = self._books.give(key, value, row.line)
        if change == "contradicted":
            why = f"line {self._books.line_of(key)} says something else of the same customer, and counts"
            yield self._refuse(Bad(row.line, said.id, why))
            return
        self.summary.count(change)
        if change in ("new", "changed", "removed"):
            self._outbox.put(key, value)
        if change != "repeated":
            self.summary.fields += len(said.notes)
            for note in said.notes:
                yield Finding(row.line, said.id, note.field, note.why)

    def check(self) -> None:
        """Raises ConfigError where a file that should replace all others looks like an accident."""
        summary = self.summary
        if not self._replace:
            return
        if summary.refused:
            raise ConfigError(
                f"nothing was changed: {summary.refused} rows were refused, so it is not plain who is to go;"
                " mend them, or add --yes"
            )
        if summary.removed * 2 > self._before:
            raise ConfigError(
                f"nothing was changed: this would remove {summary.removed} of {self._before} customers;"
                " add --yes if that is meant"
            )

    def send(self, producer: Producer, topic: str) -> None:
        """Returns once Kafka has confirmed every change. Raises FatalError."""
        records = (Record(topic, key, value) for key, value in self._outbox.all())
        send_all(producer, records)

    def close(self) -> None:
        """Lets go of what waits."""
        self._outbox.close()


def send_all(producer: Producer, records: Iterable[Record]) -> None:
    """Sends in portions of which some are always on their way, and waits for the last confirmation."""
    waiting: deque[Future[None]] = deque()
    portion: list[Record] = []
    for record in records:
        portion.append(record)
        if len(portion) == _PORTION:
            waiting.append(producer.send(portion))
            portion = []
            if len(waiting) > _IN_FLIGHT:
                waiting.popleft().result()
    waiting.append(producer.send(portion))
    for future in waiting:
        future.result()


class Outbox:
    """Keys and values that wait to be sent; beyond a few megabytes on disk, in a file without a name."""

    def __init__(self) -> None:
        self._file: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by close
        self._encode = msgspec.msgpack.Encoder().encode

    def put(self, key: bytes, value: bytes | None) -> None:
        """One more, behind the others."""
        raw = self._encode((key, value))
        self._file.write(len(raw).to_bytes(4, "big") + raw)

    def all(self) -> Iterator[tuple[bytes, bytes | None]]:
        """All of them in order."""
        self._file.seek(0)
        decode = msgspec.msgpack.Decoder(tuple[bytes, bytes | None]).decode
        while head := self._file.read(4):
            yield decode(self._file.read(int.from_bytes(head, "big")))

    def close(self) -> None:
        """Lets go of the file; may be called twice."""
        self._file.close()
