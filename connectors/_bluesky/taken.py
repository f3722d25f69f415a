"""Whose posts a narrowed source has ever taken in, and which: so that deletions, edits and the end of an
account are told of those, and of no others of a whole network.

Holds hashes of authors' ids and the keys of their posts; no name and no text. What is here may be ahead of
what was sent, never behind it. Knows nothing of the platform but that an author's posts have keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from connectors._bluesky.memory import Memory

SWEEP_SECONDS = 60.0
SWEEP_POSTS = 10_000
_HASH_BYTES = 8
_DAY = 86400
_UNTIL = b"unknown until"
_ALL = b"all of it"


class Taken:
    """The memory in ``folder``; post keys are kept for ``days``, authors for ever.

    ``narrowed`` says whether the source takes in a part only. While it does not, nothing is remembered, but
    for the fact. ``resumed`` says that the source was read before; what it took in by then, before there
    was a memory, is not known. ``now`` is in seconds since 1970 and so is `unknown_until`: posts made
    before it may have been taken in by anybody. Raises what :class:`Memory` raises.
    """

    def __init__(self, folder: Path, days: int, *, narrowed: bool, resumed: bool, now: float) -> None:
        loss = "deletions of anybody's earlier posts then pass through, and accounts that end keep theirs"
        self._memory = Memory(folder, ("authors", "posts", "state"), loss)
        self._authors, self._posts, self._state = (
            self._memory.tables[name] for name in ("authors", "posts", "state")
        )
        self._days = days
        self._swept = b""
        self._next_sweep = now
        try:
            self.unknown_until = self._begin(narrowed, resumed, now)
        except BaseException:
            self.close()
            raise

    def _begin(self, narrowed: bool, resumed: bool, now: float) -> float:
        with self._memory.look() as txn:
            told, whole = txn.get(_UNTIL, db=self._state), txn.get(_ALL, db=self._state)
        if not narrowed:
            if whole is None:
                with self._memory.write() as txn:
                    txn.put(_ALL, b"1", db=self._state)
            return float("inf")
        if told is not None and whole is None:
            return float(told)
        until = now if resumed or whole is not None else 0.0
        with self._memory.write() as txn:
            txn.put(_UNTIL, str(until).encode(), db=self._state)
            txn.delete(_ALL, db=self._state)
        return until

    def knows(self, author: str) -> bool:
        """Whether anything of this author was ever taken in; wrongly True once in billions."""
        with self._memory.look() as txn:
            return txn.get(_hashed(author), db=self._authors) is not None

    def note(self, posts: Iterable[tuple[str, str]], now: float) -> None:
        """Remembers posts, each an author and a key of at most 200 ASCII signs; on the disk when it returns.

        Writes nothing where all are known.
        """
        keys = {_hashed(author) + key.encode() for author, key in posts}
        with self._memory.look() as txn:
            new = [key for key in sorted(keys) if txn.get(key, db=self._posts) is None]
        if not new:
            return
        day = int(now // _DAY).to_bytes(4, "big")
        with self._memory.write() as txn:
            for key in new:
                txn.put(key, day, db=self._posts)
                txn.put(key[:_HASH_BYTES], b"", db=self._authors, overwrite=False)

    def keys_of(self, author: str, after: str, at_most: int) -> Sequence[str]:
        """The keys of an author's posts behind ``after`` (empty: from the first), in order."""
        start = _hashed(author)
        found: list[str] = []
        with self._memory.look() as txn, txn.cursor(db=self._posts) as cursor:
            # No key holds a zero byte, so this is the least one behind.
            more = cursor.set_range(start + after.encode() + b"\0" if after else start)
            while more and len(found) < at_most and (key := bytes(cursor.key())).startswith(start):
                found.append(key[_HASH_BYTES:].decode())
                more = cursor.next()
        return found

    def sweep(self, now: float) -> None:
        """Forgets keys of posts that are older than they may be: some of them, once a minute."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_SECONDS
        oldest = max(int(now // _DAY) - self._days, 0).to_bytes(4, "big")
        old: list[bytes] = []
        seen = 0
        with self._memory.look() as txn, txn.cursor(db=self._posts) as cursor:
            more = cursor.set_range(self._swept) if self._swept else cursor.first()
            while more and seen < SWEEP_POSTS:
                seen += 1
                if cursor.value() < oldest:
                    old.append(bytes(cursor.key()))
                more = cursor.next()
            self._swept = bytes(cursor.key()) if more else b""
        if old:
            with self._memory.write() as txn:
                for key in old:
                    txn.delete(key, db=self._posts)

    def close(self) -> None:
        """May be called twice."""
        self._memory.close()


def _hashed(author: str) -> bytes:
    return blake2b(author.encode(), digest_size=_HASH_BYTES).digest()
