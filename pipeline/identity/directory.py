"""The directory: all customers' keys in one memory-mapped file, written by one process, read by many.

LMDB: a reader sees one moment for as long as it looks, the writer never waits for readers, and a crash
at any instant leaves a committed state. Where each partition of the customers topic is read to is
committed with what was read, so a restart goes on where it stopped.

Three tables: ``keys`` (key to the tag of each holder), ``customers`` (tag to what is known and the keys
that it stands under) and ``meta``. The tag is a hash of the customer's id, for ids may be longer than
LMDB's keys, and there are several to a customer.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import lmdb
import msgspec
from msgspec import Struct

from pipeline.core.customer import Customer
from pipeline.core.errors import ConfigError, FatalError
from pipeline.core.linking import KEY_BYTES, Known, keys_of
from pipeline.identity import _environment as environment

FOLDER = "directory"
"""Below the home of an installation."""

DATA = environment.DATA
"""The file in the folder: without it, a writer begins an empty directory."""

SCHEMA = 1
"""Version of the tables; a file of a higher one is refused."""

TAG_BYTES = 10
"""Two of a million customers share a tag once in a million million directories."""

_SCHEMA, _REVISION, _FRESH = b"schema", b"revision", b"fresh"
_POSITION = b"position:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Change(Struct, frozen=True):
    """One record of the customers topic: the new state of a customer, None where they are gone."""

    partition: int
    offset: int
    customer_id: str
    customer: Customer | None


class _Row(Struct, frozen=True, array_like=True):
    """What is kept of a customer. ``keys`` are one behind the other, sorted."""

    id: str
    segment: str
    value: float | None
    consent: bool | None
    keys: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


def _tag(customer_id: str) -> bytes:
    return blake2b(customer_id.encode(), digest_size=TAG_BYTES).digest()


def _row(customer: Customer) -> tuple[bytes, list[bytes]]:
    """The row of a customer, and the keys in it."""
    keys = sorted(keys_of(customer))
    row = _Row(customer.id, customer.segment, customer.value, customer.consent, b"".join(keys))
    return _encode(row), keys


def _keys(row: bytes) -> set[bytes]:
    keys = _decode(row).keys
    return {keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)}


class Moment:
    """The directory at one moment; see :class:`pipeline.core.linking.Directory`."""

    def __init__(self, txn: Any, tables: environment.Held | None) -> None:
        self._txn = txn
        self._tables = tables
        self._under = txn.cursor(tables.keys) if tables else None
        self._last: tuple[str, Known | None] | None = None

    @property
    def revision(self) -> int:
        """Goes up with every change of a customer; 0 while there is none."""
        return int(self._txn.get(_REVISION, b"0", self._tables.meta)) if self._tables else 0

    @property
    def edition(self) -> object:
        """Equal for two moments of one process only where nothing of the directory changed between them."""
        return (self._tables.number, self.revision) if self._tables else None

    @property
    def whole(self) -> bool:
        """Whether it ever held all that the topic held. Else it is being built, and most are missing."""
        return self._tables is not None and self._txn.get(_FRESH, None, self._tables.meta) is not None

    def holders(self, key: bytes) -> Sequence[str]:
        """The ids of the customers under a key, at most two."""
        cursor = self._under
        if cursor is None or not cursor.set_key(key):
            return ()
        tags = [cursor.value()]
        if cursor.next_dup():
            tags.append(cursor.value())
        found = [known for known in map(self._of, tags) if known is not None]
        if len(found) == 1:
            self._last = (found[0].id, found[0])  # it is asked for next
        return [known.id for known in found]

    def known(self, customer_id: str) -> Known | None:
        """What is known of the customer of that id, also of one without consent."""
        if self._last is None or self._last[0] != customer_id:
            self._last = (customer_id, self._of(_tag(customer_id)))
        return self._last[1]

    def _of(self, tag: bytes) -> Known | None:
        raw = self._txn.get(tag, None, self._tables.customers) if self._tables else None
        if raw is None:
            return None
        row = _decode(raw)
        return Known(row.id, row.segment, row.value, row.consent)


_EMPTY = Moment(None, None)


class DirectoryWriter:
    """The one writer of the directory at ``path``, made where it is not there. ConfigError where another
    process writes it, the file is of a later Groundswell, or cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: environment.Held | None = None
        self._lock = _lock(path)
        try:
            if environment.stamp(path) is None:
                environment.make(path, {_SCHEMA: str(SCHEMA).encode()})
            held = environment.take(path, write=True)
            if held is None:
                raise FatalError(f"the directory {path} was removed while it was opened: start again")
            self._held = held
            with held.read() as txn:
                _check_schema(txn, held)
            held.env.reader_check()
        except (lmdb.Error, OSError) as error:
            self.close()
            raise environment.told(error, path) from None
        except BaseException:
            self.close()
            raise

    def apply(self, changes: Sequence[Change]) -> None:
        """All of them in one commit, in order. Repeats change nothing.

        Raises RetryableError where the disk is full: nothing of the call is then applied.
        """
        if not changes:
            return
        with self._write() as (txn, held):
            positions = dict(_positions(txn, held))
            state: dict[str, Customer | None] = {}
            for change in changes:
                if change.offset >= positions.get(change.partition, 0):
                    positions[change.partition] = change.offset + 1
                    state[change.customer_id] = change.customer
            if changed := _store(txn, held, state):
                revision = int(txn.get(_REVISION, b"0", db=held.meta)) + changed
                txn.put(_REVISION, str(revision).encode(), db=held.meta)
            for partition, offset in positions.items():
                txn.put(_POSITION + str(partition).encode(), str(offset).encode(), db=held.meta)

    def positions(self) -> dict[int, int]:
        """Partition to the offset after the last that was applied."""
        held = self._open()
        with held.read() as txn:
            return dict(_positions(txn, held))

    def note_fresh(self, at: datetime) -> None:
        """Notes that the directory held all that the topic held at that moment.

        Also frees what readers that were killed had still before their eyes.
        """
        with self._write() as (txn, held):
            micros = (at - _EPOCH) // timedelta(microseconds=1)
            txn.put(_FRESH, str(micros).encode(), db=held.meta)
            held.env.reader_check()

    def close(self) -> None:
        """Lets go of the file; may be called twice."""
        if self._held is not None:
            environment.release(self._held)
            self._held = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _open(self) -> environment.Held:
        if self._held is None:
            raise FatalError(f"the directory {self._path} is closed")
        if environment.stamp(self._path) != self._held.stamp:
            raise FatalError(f"the directory {self._path} was removed while it was in use: start again")
        return self._held

    @contextmanager
    def _write(self) -> Iterator[tuple[Any, environment.Held]]:
        held = self._open()
        try:
            with held.env.begin(write=True) as txn:
                yield txn, held
            # Pages that a commit took and gave back are never written. Readers hold the length of the
            # file against the number of pages.
            if (length := environment.bytes_of(held.env)) > (
                file := self._path / environment.DATA
            ).stat().st_size:
                os.truncate(file, length)
        except (lmdb.Error, OSError) as error:
            raise environment.told(error, self._path) from None


class DirectoryReader:
    """Reads the directory at ``path``, which need not be there yet: it is then empty, and never fresh.

    A directory that was deleted and built anew is found by itself. May be used by several threads, and
    in a child process. All methods but `close` raise ConfigError for a file that cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: environment.Held | None = None

    @contextmanager
    def moment(self) -> Iterator[Moment]:
        """The directory as it is now, for as long as the block lasts; keep it short."""
        held = self._open()
        if held is None:
            yield _EMPTY
        else:
            with held.read() as txn:
                yield Moment(txn, held)

    def positions(self) -> Mapping[int, int]:
        """Partition to the offset after the last that was applied."""
        held = self._open()
        if held is None:
            return {}
        with held.read() as txn:
            return dict(_positions(txn, held))

    def fresh_at(self) -> datetime | None:
        """The last moment at which it held all that the topic held; None before it ever did."""
        held = self._open()
        if held is None:
            return None
        with held.read() as txn:
            micros = txn.get(_FRESH, db=held.meta)
        return None if micros is None else _EPOCH + timedelta(microseconds=int(micros))

    def revision(self) -> int:
        """Goes up with every change of a customer; 0 while there is none."""
        with self.moment() as moment:
            return moment.revision

    def customers(self) -> int:
        """How many customers it holds, with those who said no."""
        held = self._open()
        if held is None:
            return 0
        with held.read() as txn:
            return int(txn.stat(held.customers)["entries"])

    def close(self) -> None:
        """Lets go of the file; may be called twice."""
        if self._held is not None:
            environment.release(self._held)
            self._held = None

    def _open(self) -> environment.Held | None:
        """What is there now."""
        if self._held is not None and environment.stamp(self._path) == self._held.stamp:
            return self._held
        self.close()
        held = environment.take(self._path)
        if held is not None:
            self._held = held
            with held.read() as txn:
                _check_schema(txn, held)
        return held


def _lock(path: Path) -> int:
    """Makes the folder and takes the writer's lock in it, which the system gives back when we die."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{path} is no folder: remove what is there") from None
    except OSError as error:
        raise environment.told(error, path) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ConfigError(
            f"another process writes the directory {path}: one role `directory` a machine is enough"
        ) from None
    return lock


def _check_schema(txn: Any, held: environment.Held) -> None:
    found = txn.get(_SCHEMA, b"", db=held.meta)
    if found != str(SCHEMA).encode():
        raise ConfigError(
            f"the directory {held.path} is of another Groundswell (schema {found.decode('ascii', 'replace')},"
            f" this one has {SCHEMA}): upgrade, or {environment.remedy(held.path)}"
        )


def _positions(txn: Any, held: environment.Held) -> Iterator[tuple[int, int]]:
    with txn.cursor(held.meta) as cursor:
        if cursor.set_range(_POSITION):
            for key, value in cursor:
                if not key.startswith(_POSITION):
                    return
                yield int(key[len(_POSITION) :]), int(value)


def _store(txn: Any, held: environment.Held, state: Mapping[str, Customer | None]) -> int:
    """Brings the customers to their state; how many of them changed by it."""
    gone: list[tuple[bytes, bytes]] = []
    new: list[tuple[bytes, bytes]] = []
    rows: list[tuple[bytes, bytes]] = []
    changed = 0
    for customer_id, customer in state.items():
        tag = _tag(customer_id)
        before = txn.get(tag, None, held.customers)
        after, keys = _row(customer) if customer is not None else (None, [])
        if before == after:
            continue
        changed += 1
        had = _keys(before) if before else set()
        gone += [(key, tag) for key in had.difference(keys)]
        new += [(key, tag) for key in keys if key not in had]
        if after is None:
            txn.delete(tag, db=held.customers)
        else:
            rows.append((tag, after))
    for key, tag in sorted(gone):
        txn.delete(key, tag, db=held.keys)
    # In the order of the tree, neighbours land on one page.
    with txn.cursor(held.keys) as cursor:
        cursor.putmulti(sorted(new), dupdata=True)
    with txn.cursor(held.customers) as cursor:
        cursor.putmulti(sorted(rows))
    return changed
