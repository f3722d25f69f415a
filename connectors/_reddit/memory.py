"""Which things of Reddit were taken in, so that they can be looked at again: a small file beside the cursor.

It holds names, times and a digest of each text, nothing that anybody wrote. What is remembered is so before
the read with it is returned; what a look found is noted only once the runtime comes back with its cursor.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from connectors._reddit.looks import Change, Known
from pipeline.core.errors import ConfigError, RetryableError

log = logging.getLogger("groundswell.reddit")

MOST = 500_000
"""Things that are remembered at most; some 60 MB. Beyond that the oldest are forgotten."""

_FILE = "taken.sqlite"
_BUSY_SECONDS = 2.0
# By their names: a later version may have added columns.
_REMEMBER = "INSERT OR IGNORE INTO taken (name, at, edited, digest, absent, due) VALUES (?, ?, ?, ?, ?, ?)"


class Memory:
    """The file within ``folder``, made at its first use; may be closed from another thread.

    Raises RetryableError while the disk or another process is in the way, ConfigError where the file is none.
    """

    def __init__(self, folder: Path, most: int = MOST) -> None:
        self._path = folder / _FILE
        self._most = most
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._closed = False
        self._warned = False

    def remember(self, found: Sequence[tuple[Known, float]]) -> None:
        """Things with the time of their first look. What is known of one stays as it is: what a crash keeps
        from Kafka is found again by a look."""
        if not found:
            return
        rows = [(one.name, one.at, one.edited, one.digest, one.absent, due) for one, due in found]
        with self._open() as file:
            file.executemany(_REMEMBER, rows)
            (count,) = file.execute("SELECT count(*) FROM taken").fetchone()
            if count > self._most:
                self._forget(file, count - self._most)

    def due(self, now: float, most: int) -> list[Known]:
        """Those that are to be looked at by now, the longest due first."""
        with self._open() as file:
            rows = file.execute(
                "SELECT name, at, edited, digest, absent FROM taken WHERE due <= ? ORDER BY due LIMIT ?",
                (now, most),
            ).fetchall()
        return [Known(*row) for row in rows]

    def note(self, changes: Sequence[Change]) -> None:
        """What looks found, once it is safely sent."""
        with self._open() as file:
            for change in changes:
                known = change.known
                if change.due is None:
                    file.execute("DELETE FROM taken WHERE name = ?", (known.name,))
                else:
                    file.execute(
                        "UPDATE taken SET edited = ?, digest = ?, absent = ?, due = ? WHERE name = ?",
                        (known.edited, known.digest, known.absent, change.due, known.name),
                    )

    def close(self) -> None:
        """Lets go of the file; may be called twice."""
        with self._lock:
            self._closed = True
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def _forget(self, file: sqlite3.Connection, count: int) -> None:
        file.execute("DELETE FROM taken WHERE name IN (SELECT name FROM taken ORDER BY at LIMIT ?)", (count,))
        if not self._warned:
            self._warned = True
            log.warning(
                "%s holds %d posts, the most it may: deletions and edits of the oldest are no longer looked"
                " for; lower `recheck_hours` or narrow `words`",
                self._path,
                self._most,
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file within a transaction."""
        with self._lock:
            try:
                if self._closed:
                    raise RetryableError("the connector was closed")
                if self._file is None:
                    self._file = _opened(self._path)
                with self._file:
                    yield self._file
            except sqlite3.OperationalError as error:
                raise RetryableError(f"{self._path} cannot be used now: {error}") from None
            except sqlite3.DatabaseError as error:
                raise ConfigError(
                    f"{self._path} is damaged ({error}): delete it; deletions and edits of posts taken in"
                    " before are then no longer found"
                ) from None
            except OSError as error:
                raise RetryableError(f"{self._path} cannot be used now: {error.strerror}") from None


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        with file:
            file.execute(
                "CREATE TABLE IF NOT EXISTS taken (name TEXT PRIMARY KEY, at REAL, edited REAL,"
                " digest INTEGER, absent INTEGER, due REAL) WITHOUT ROWID"
            )
            file.execute("CREATE INDEX IF NOT EXISTS by_due ON taken (due)")
            file.execute("CREATE INDEX IF NOT EXISTS by_age ON taken (at)")
    except BaseException:
        file.close()
        raise
    return file
