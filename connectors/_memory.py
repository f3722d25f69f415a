"""What a connector remembers on disk beyond its cursor: tables of SQLite in a folder of its own.

What was written is on the disk, whole, and a process that is killed at any moment leaves it so. Knows nothing
of what is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec.structs import replace

from pipeline.core.errors import ConfigError, FatalError, GroundswellError, RetryableError

FILE = "memory.sqlite"
_BUSY_SECONDS = 2.0
_REST_SECONDS = 15.0

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
# Primary codes: the bits above them say more closely what it was.
_PRIMARY = 0xFF
_FORBIDDEN = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


S = TypeVar("S", bound="Remembering")


class Remembering(Protocol):
    """Settings of a connector with a memory: ``memory`` is its folder."""

    @property
    def memory(self) -> Path | None: ...


def at_home(settings: S, folder: Path) -> S:
    """The settings within an installation: its folder, unless they name another."""
    return settings if settings.memory else replace(settings, memory=folder)  # type: ignore[type-var]


class Memory:
    """The file within ``folder``, made at its first use; may be closed from another thread.

    ``tables`` are the statements that make its tables where they are not there; ``loss`` says in words what
    is lost with the folder.
    """

    def __init__(self, folder: Path, tables: Sequence[str], loss: str) -> None:
        self._folder = folder
        self._tables = tables
        self._loss = loss
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._closed = False

    @contextlib.contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """The file within a transaction: all that the block writes is on the disk when it ends, or nothing
        where it raises. Raises ConfigError, RetryableError or FatalError that says what to do.
        """
        with self._lock:
            try:
                if self._closed:
                    raise RetryableError("the connector was closed")
                if self._file is None:
                    self._file = self._opened()
                with self._file:
                    yield self._file
            except (sqlite3.Error, OSError) as error:
                raise self._judged(error) from None

    def close(self) -> None:
        """Lets go of the file; may be called twice."""
        with self._lock:
            self._closed = True
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def _opened(self) -> sqlite3.Connection:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / FILE
        # Never opened where it is there: to close it would lose the locks of all who have it open here.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        file = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = FULL")
            with file:
                for statement in self._tables:
                    file.execute(statement)
        except BaseException:
            file.close()
            raise
        return file

    def _judged(self, error: Exception) -> GroundswellError:
        what = f"the connector's memory in {self._folder}"
        remedy = f"end all that uses it and remove that folder ({self._loss})"
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        if code in _DAMAGED:
            return ConfigError(f"{what} is damaged ({error}): {remedy}")
        if code in _FORBIDDEN or getattr(error, "errno", None) in _DENIED:
            return ConfigError(
                f"{what} may not be used by this user: give the folder to the one who runs this"
            )
        if code in _PASSING:
            return RetryableError(f"{what} cannot be used now: {error}")
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) or isinstance(error, OSError):
            return RetryableError(
                f"{what} cannot be written, its disk is full or broken: make room ({error})", _REST_SECONDS
            )
        return FatalError(f"{what} cannot be used ({error}): if that stays so, {remedy}")
