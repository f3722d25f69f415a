"""What a connector remembers on disk beyond its cursor: tables of LMDB in a folder of its own.

A write is on the disk when it returns, and a process that is killed at any moment leaves it whole. Knows
nothing of what is kept.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from pipeline.core.errors import ConfigError, FatalError, GroundswellError, RetryableError

MAP_BYTES = 1 << 34
"""16 GiB of addresses, not of disk: the file is as long as what was written."""

DATA = "data.mdb"
_REST_SECONDS = 15.0

# LMDB says EIO where the disk took less than it was given, as a disk does that fills up.
_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)

# LMDB forbids a process to open a file twice: its locks would be lost with the first that closes.
_shared: dict[Path, _Shared] = {}
_guard = threading.Lock()


class _Shared:
    """An open file, and how many use it."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.users = 0


class Memory:
    """Tables of bytes by their names. All methods raise ConfigError, RetryableError or FatalError that say
    what to do; ``loss`` says in words what is lost with the folder.
    """

    def __init__(self, folder: Path, tables: tuple[str, ...], loss: str) -> None:
        self._loss = loss
        self._folder = folder
        with self._told():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path = folder.resolve()
            with _guard:
                self._env = self._take(len(tables))
            try:
                self.tables = {name: self._env.open_db(name.encode()) for name in tables}
            except BaseException:
                self.close()
                raise

    def _take(self, tables: int) -> Any:
        shared = _shared.get(self._path)
        if shared is None:
            shared = _shared[self._path] = _Shared(self._open(tables))
        shared.users += 1
        return shared.env

    def _open(self, tables: int) -> Any:
        env = lmdb.open(str(self._path), map_size=MAP_BYTES, max_dbs=tables, readahead=False, mode=0o600)
        env.reader_check()
        needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        if needed > (self._path / DATA).stat().st_size:
            # To read behind the end of a mapped file kills the process.
            env.close()
            raise lmdb.CorruptedError("the file is cut off")
        return env

    @contextmanager
    def look(self) -> Iterator[Any]:
        """A transaction that sees one moment."""
        with self._told(), self._env.begin() as txn:
            yield txn

    @contextmanager
    def write(self) -> Iterator[Any]:
        """A transaction that is on the disk, whole, when the block ends; nothing of it where that raises."""
        with self._told(), self._env.begin(write=True) as txn:
            yield txn

    def close(self) -> None:
        """May be called twice."""
        env, self._env = self._env, None
        if env is None:
            return
        with _guard:
            shared = _shared[self._path]
            shared.users -= 1
            if not shared.users:
                del _shared[self._path]
                env.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (lmdb.Error, OSError, ValueError) as error:
            raise self._judged(error) from None

    def _judged(self, error: Exception) -> GroundswellError:
        what = f"the connector's memory in {self._folder}"
        remedy = f"end all that uses it and remove that folder ({self._loss})"
        code = getattr(error, "errno", None) or getattr(error, "code", 0)
        if isinstance(error, lmdb.DiskError | lmdb.PanicError) or code in _ROOM:
            return RetryableError(
                f"{what} cannot be written, its disk is full or broken: make room", _REST_SECONDS
            )
        if isinstance(error, lmdb.MapFullError):
            return ConfigError(
                f"{what} is larger than {MAP_BYTES >> 30} GiB: narrow the source, and {remedy}"
            )
        if code in _DENIED:
            return ConfigError(
                f"{what} may not be used by this user: give the folder to the one who runs this"
            )
        if isinstance(error, lmdb.MemoryError) or code == errno.ENOMEM:
            room = f"{MAP_BYTES >> 30} GiB of addresses, which are no memory"
            return ConfigError(f"{what} needs {room}: raise the limit of the process (ulimit -v unlimited)")
        if isinstance(error, lmdb.Error | ValueError):  # what was read is none of what was written
            return ConfigError(f"{what} is damaged ({error}): {remedy}")
        return FatalError(f"{what} cannot be used ({error}): if that stays so, {remedy}")
