"""Whose posts a narrowed source has ever taken in, and which: so that deletions, edits and the end of an
account are told of those, and of no others of a whole network.

Holds hashes of authors' ids and the keys of their posts; no name and no text. What is here may be ahead of
what was sent, never behind it. Knows nothing of the platform but that an author's posts have keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from connectors._memory import Memory

SWEEP_SECONDS = 60.0
SWEEP_POSTS = 10_000
_DAY = 86400
_UNTIL, _ALL = "unknown until", "all of it"

_TABLES = (
    "CREATE TABLE IF NOT EXISTS authors (author INTEGER PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS posts (author INTEGER, key TEXT, day INTEGER, PRIMARY KEY (author, key))"
    " WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS by_day ON posts (day)",
    "CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value REAL)",
)
_LOSS = "deletions of anybody's earlier posts then pass through, and accounts that end keep theirs"


class Taken:
    """The memory in ``folder``; post keys are kept for ``days``, authors for ever.

    ``narrowed`` says whether the source takes in a part only. While it does not, nothing is remembered, but
    for the fact. ``resumed`` says that the source was read before; what it took in by then, before there
    was a memory, is not known. ``now`` is in seconds since 1970 and so is `unknown_until`: posts made
    before it may have been taken in by anybody. Raises what :class:`Memory` raises.
    """

    def __init__(self, folder: Path, days: int, *, narrowed: bool, resumed: bool, now: float) -> None:
        self._memory = Memory(folder, _TABLES, _LOSS)
        self._days = days
        self._next_sweep = now
        try:
            self.unknown_until = self._begin(narrowed, resumed, now)
        except BaseException:
            self.close()
            raise

    def _begin(self, narrowed: bool, resumed: bool, now: float) -> float:
        with self._memory.open() as file:
            state: dict[str, float] = dict(file.execute("SELECT name, value FROM state"))
            if not narrowed:
                file.execute("INSERT OR IGNORE INTO state VALUES (?, 1)", (_ALL,))
                return float("inf")
            if _UNTIL in state and _ALL not in state:
                return state[_UNTIL]
            until = now if resumed or _ALL in state else 0.0
            file.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (_UNTIL, until))
            file.execute("DELETE FROM state WHERE name = ?", (_ALL,))
            return until

    def knows(self, author: str) -> bool:
        """Whether anything of this author was ever taken in; wrongly True once in billions."""
        with self._memory.open() as file:
            found = file.execute("SELECT 1 FROM authors WHERE author = ?", (_hashed(author),))
            return found.fetchone() is not None

    def note(self, posts: Iterable[tuple[str, str]], now: float) -> None:
        """Remembers posts, each an author and a key; on the disk when it returns.

        Writes nothing where all are known.
        """
        day = int(now // _DAY)
        rows = sorted((_hashed(author), key, day) for author, key in posts)
        if not rows:
            return
        with self._memory.open() as file:
            file.executemany("INSERT OR IGNORE INTO posts VALUES (?, ?, ?)", rows)
            file.executemany("INSERT OR IGNORE INTO authors VALUES (?)", [row[:1] for row in rows])

    def keys_of(self, author: str, after: str, at_most: int) -> Sequence[str]:
        """The keys of an author's posts behind ``after`` (empty: from the first), in order."""
        with self._memory.open() as file:
            rows = file.execute(
                "SELECT key FROM posts WHERE author = ? AND key > ? ORDER BY key LIMIT ?",
                (_hashed(author), after, at_most),
            ).fetchall()
        return [key for (key,) in rows]

    def sweep(self, now: float) -> None:
        """Forgets keys of posts that are older than they may be: some of them, once a minute."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_SECONDS
        with self._memory.open() as file:
            file.execute(
                "DELETE FROM posts WHERE (author, key) IN"
                " (SELECT author, key FROM posts WHERE day < ? LIMIT ?)",
                (int(now // _DAY) - self._days, SWEEP_POSTS),
            )

    def close(self) -> None:
        """May be called twice."""
        self._memory.close()


def _hashed(author: str) -> int:
    return int.from_bytes(blake2b(author.encode(), digest_size=8).digest(), signed=True)
