"""One LMDB environment a process and file, shared by all who read or write it there; and LMDB's errors in
the project's own words.

LMDB forbids a process to open a file twice: its locks would be lost with the first that closes. So the
open ones are kept here, and here alone. Knows nothing of customers.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb

from pipeline.core.errors import ConfigError, FatalError, GroundswellError, RetryableError

DATA = "data.mdb"
LOCK = "lock.mdb"
TABLES = (b"keys", b"customers", b"meta")

MAP_BYTES = 1 << 36
"""64 GiB of addresses, not of disk: the file is as long as what was written. Some 200 million customers."""

MAX_READERS = 1024
"""Transactions at one moment, of all processes."""

PAGE_WAIT = 1.0
"""Seconds for which a file may look shorter than it is, while a writer lengthens it."""

Stamp = tuple[int, int, int]
"""The process, and device and number of the data file: another file of the same name is another directory."""


def stamp(path: Path) -> Stamp | None:
    """Of the file at ``path`` now; None where there is none. ConfigError where it may not be seen."""
    try:
        found = os.stat(path / DATA)  # noqa: PTH116 - asked for every batch, and Path.stat costs thrice as much
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise told(error, path) from None
    return os.getpid(), found.st_dev, found.st_ino


class Held:
    """An open environment. ``keys``, ``customers`` and ``meta`` are its tables."""

    def __init__(self, path: Path, at: Stamp, write: bool) -> None:
        self.path = path
        self.stamp = at
        self.users = 0
        self.number = next(_numbers)
        self._turn = threading.Condition()
        self._active = 0
        self._open(write)

    def _open(self, write: bool) -> None:
        if (self.path / DATA).stat().st_size == 0:
            raise lmdb.InvalidError(str(self.path))
        self.write = write
        self.env = open_file(self.path, write=write)
        try:
            self.keys, self.customers, self.meta = (
                self.env.open_db(name, create=False, dupsort=name == b"keys", dupfixed=name == b"keys")
                for name in TABLES
            )
        except BaseException:
            self.env.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Any]:
        """A transaction that sees one moment."""
        with self._turn:
            self._active += 1
        try:
            txn = self._begin()
            try:
                yield txn
            finally:
                txn.abort()
        finally:
            with self._turn:
                self._active -= 1
                self._turn.notify_all()

    def _begin(self) -> Any:
        try:
            try:
                return self.env.begin()
            except lmdb.ReadersFullError:
                self.env.reader_check()  # processes that were killed in the middle of a look still count
                return self.env.begin()
        except lmdb.Error as error:
            raise told(error, self.path) from None

    def make_writable(self) -> None:
        """Opens the file anew for writing, when nobody looks."""
        with self._turn:
            self._turn.wait_for(lambda: not self._active)
            if not self.write:
                self.env.close()
                self._open(True)

    def close(self) -> None:
        """Waits for the looks of other threads."""
        if self.stamp[0] != os.getpid():
            self.env.close()  # the parent's threads are not here, and what is theirs stays open there
            return
        with self._turn:
            self._turn.wait_for(lambda: not self._active, timeout=10)
            self.env.close()


_numbers = itertools.count()
_held: dict[Stamp, Held] = {}
_guard = threading.Lock()


def take(path: Path, *, write: bool = False) -> Held | None:
    """The environment at ``path``, opened where this process has not yet; None where there is no file.

    Raises ConfigError where the file cannot be used. Give it back with `release`.
    """
    with _guard:
        at = stamp(path)
        if at is None:
            return None
        for inherited in [one for one in _held if one[0] != at[0]]:
            _held.pop(inherited).close()
        found = _held.get(at)
        try:
            if found is None:
                found = Held(path, at, write)
            elif write:
                found.make_writable()
        except (lmdb.Error, OSError) as error:
            if isinstance(error, lmdb.Error) and not write and stamp(path) is None:
                return None  # it was removed while we opened it
            raise told(error, path) from None
        _held[at] = found
        found.users += 1
        return found


def release(held: Held) -> None:
    """Gives it back; the last one closes it."""
    with _guard:
        held.users -= 1
        if held.users == 0:
            _held.pop(held.stamp, None)
            held.close()


def open_file(path: Path, *, write: bool, subdir: bool = True) -> Any:
    """Opens the environment. Raises lmdb.Error, OSError, and ConfigError where the file is cut off."""
    env = lmdb.open(
        str(path),
        map_size=MAP_BYTES,
        subdir=subdir,
        readonly=not write,
        create=write,
        max_dbs=len(TABLES),
        max_readers=MAX_READERS,
        # A power cut may take the last commits, and never leaves half of one: the log has them still. With
        # no sync at all the file could be damaged unseen, and link the wrong people.
        metasync=False,
        readahead=False,
        mode=0o644,
    )
    data = path / DATA if subdir else path
    deadline = time.monotonic() + PAGE_WAIT
    while (needed := bytes_of(env)) > data.stat().st_size:
        # To read behind the end of a mapped file kills the process.
        if time.monotonic() > deadline:
            env.close()
            raise ConfigError(f"{data} is cut off, {needed} bytes are expected: {remedy(path)}")
        time.sleep(0.02)
    return env


def bytes_of(env: Any) -> int:
    """How long the file has to be for all pages that were ever used."""
    return int((env.info()["last_pgno"] + 1) * env.stat()["psize"])


def remedy(path: Path) -> str:
    """What to do about a directory that cannot be used."""
    return f"stop the daemon and delete the folder {path}; it is built anew from the log"


# LMDB says EIO where the disk took less than it was given, as a disk does that fills up.
_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_DAMAGED = (
    lmdb.InvalidError,
    lmdb.CorruptedError,
    lmdb.VersionMismatchError,
    lmdb.PageNotFoundError,
    lmdb.NotFoundError,
    lmdb.IncompatibleError,
)


def told(error: Exception, path: Path) -> GroundswellError:
    """The error of this project for one of LMDB or of the system."""
    code = getattr(error, "errno", None) or getattr(error, "code", 0)
    what = f"the directory {path}"
    if isinstance(error, lmdb.DiskError) or code in _ROOM:
        return RetryableError(f"{what} cannot be written, its disk is full or broken: make room", 15.0)
    if isinstance(error, lmdb.ReadersFullError):
        return RetryableError(f"{what} is read by more than {MAX_READERS} at once: start fewer workers", 1.0)
    if isinstance(error, _DAMAGED):
        return ConfigError(f"{what} is damaged, or not one of Groundswell: {remedy(path)}")
    if isinstance(error, lmdb.MemoryError) or code == errno.ENOMEM:
        room = f"{MAP_BYTES >> 30} GiB of addresses, which are no memory"
        return ConfigError(f"{what} needs {room}: raise the limit of the process (ulimit -v unlimited)")
    if code in _DENIED:
        return ConfigError(f"{what} may not be used by this user: run all processes as the one who owns it")
    return FatalError(f"{what} cannot be used ({error}): if that stays so, {remedy(path)}")


def make(path: Path, meta: dict[bytes, bytes]) -> None:
    """Makes the file of an empty directory, whole or not at all: a reader never finds half of one.

    Only for whoever holds the writer's lock.
    """
    new = path / "new.mdb"
    for left in (new, path / "new.mdb-lock", path / LOCK):
        # The lock file remembers how far the file was that it belonged to.
        with suppress(FileNotFoundError):
            left.unlink()
    env = open_file(new, write=True, subdir=False)
    try:
        with env.begin(write=True) as txn:
            for name in TABLES:
                table = env.open_db(name, txn, dupsort=name == b"keys", dupfixed=name == b"keys")
            for key, value in meta.items():
                txn.put(key, value, db=table)
        env.sync(True)
    finally:
        env.close()
    new.replace(path / DATA)
    (path / "new.mdb-lock").unlink(missing_ok=True)
