"""Which things of Reddit were taken in, so that they can be looked at again.

It holds names, times and a digest of each text, nothing that anybody wrote. What is remembered is so before
the read with it is returned; what a look found is noted only once the runtime comes back with its cursor.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from connectors._memory import Memory
from connectors._reddit.looks import Change, Known

log = logging.getLogger("groundswell.reddit")

MOST = 500_000
"""Things that are remembered at most; some 60 MB. Beyond that the oldest are forgotten."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS taken (name TEXT PRIMARY KEY, at REAL, edited REAL, digest INTEGER,"
    " absent INTEGER, due REAL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS by_due ON taken (due)",
    "CREATE INDEX IF NOT EXISTS by_age ON taken (at)",
)
_LOSS = "deletions and edits of posts taken in before are then no longer found"
# By their names: a later version may have added columns.
_REMEMBER = "INSERT OR IGNORE INTO taken (name, at, edited, digest, absent, due) VALUES (?, ?, ?, ?, ?, ?)"


class Taken:
    """The memory in ``folder``; may be closed from another thread. Raises what :class:`Memory` raises."""

    def __init__(self, folder: Path, most: int = MOST) -> None:
        self._folder = folder
        self._memory = Memory(folder, _TABLES, _LOSS)
        self._most = most
        self._warned = False

    def remember(self, found: Sequence[tuple[Known, float]]) -> None:
        """Things with the time of their first look. What is known of one stays as it is: what a crash keeps
        from Kafka is found again by a look."""
        if not found:
            return
        rows = [(one.name, one.at, one.edited, one.digest, one.absent, due) for one, due in found]
        with self._memory.open() as file:
            file.executemany(_REMEMBER, rows)
            (count,) = file.execute("SELECT count(*) FROM taken").fetchone()
            if count > self._most:
                self._forget(file, count - self._most)

    def due(self, now: float, most: int) -> list[Known]:
        """Those that are to be looked at by now, the longest due first."""
        with self._memory.open() as file:
            rows = file.execute(
                "SELECT name, at, edited, digest, absent FROM taken WHERE due <= ? ORDER BY due LIMIT ?",
                (now, most),
            ).fetchall()
        return [Known(*row) for row in rows]

    def note(self, changes: Sequence[Change]) -> None:
        """What looks found, once it is safely sent."""
        with self._memory.open() as file:
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
        """May be called twice."""
        self._memory.close()

    def _forget(self, file: sqlite3.Connection, count: int) -> None:
        file.execute("DELETE FROM taken WHERE name IN (SELECT name FROM taken ORDER BY at LIMIT ?)", (count,))
        if not self._warned:
            self._warned = True
            log.warning(
                "%s holds %d posts, the most it may: deletions and edits of the oldest are no longer looked"
                " for; lower `recheck_hours` or narrow `words`",
                self._folder,
                self._most,
            )
