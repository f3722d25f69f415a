"""What this process wrote lately to a small index, as long as nobody else wrote there: what a search does not
show.

Elasticsearch numbers the operations of a shard one by one. If all that came since a refresh are ours, then
these and a search are all there is, and the index need not be refreshed again to look for a record.
"""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

from sinks._look import Look

MOST = 2000
"""Operations after which a refresh is cheaper than to remember more."""


T = TypeVar("T")


class Recent(Generic[T]):
    """Thread-safe. Made for an index of one shard; with another number of them nothing is ever known."""

    def __init__(self) -> None:
        self._uuid = ""
        self._from = -1
        self._ours: dict[int, tuple[str, T]] = {}
        self._lock = Lock()

    def note(self, operation: int, id: str, record: T) -> None:
        """This record was written, as the operation of that number; below 0 where the server did not say."""
        with self._lock:
            if operation > self._from:
                self._ours[operation] = (id, record)

    def since(self, now: Look | None) -> dict[str, T] | None:
        """The records that a search may not show at the moment of a look, by id; None where others wrote as
        well, or it is not known."""
        with self._lock:
            if now is None or now.uuid != self._uuid or now.shards != 1 or not now.operations:
                return None
            last = now.operations[-1]
            ours = sum(operation <= last for operation in self._ours)
            if ours != last - self._from or len(self._ours) > MOST:
                return None
            return dict(self._ours[operation] for operation in sorted(self._ours))

    def begin(self, before: Look | None) -> None:
        """The index was refreshed after that look."""
        with self._lock:
            if before is None or not before.operations:
                # Nothing is known until the next refresh, and that tells of all that is noted meanwhile.
                self._uuid, self._ours = "", {}
                return
            same = before.uuid == self._uuid
            self._uuid, self._from = before.uuid, before.operations[-1]
            kept = self._ours.items() if same else ()
            self._ours = {operation: told for operation, told in kept if operation > self._from}
