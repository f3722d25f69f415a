"""Accounts of Bluesky that have ended, and the deletions of their posts, a bounded number at a time.

What is under way is in no file: the cursor waits before the oldest of these accounts until all of its posts
are told of, so a process that dies begins with it again.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from connectors._bluesky.jetstream import Event, deletion_of
from connectors._bluesky.taken import Taken
from pipeline.core.post import Post

GONE = frozenset({"deleted", "takendown"})
"""For good: other states (deactivated, suspended, throttled …) may end, and a deletion does not."""


class _Departure(Struct):
    """When the host told of it, in microseconds, and the last post of which a deletion was told."""

    time_us: int
    after: str = ""


class Leaving:
    """The accounts of whose posts not all are told of, in the order in which they ended."""

    def __init__(self) -> None:
        self._departures: dict[str, _Departure] = {}
        self.told = 0

    def __bool__(self) -> bool:
        return bool(self._departures)

    @property
    def since(self) -> int | None:
        """When the oldest of them ended, in microseconds since 1970."""
        return min((one.time_us for one in self._departures.values()), default=None)

    def heed(self, event: Event, at: int) -> None:
        """An event of any kind; ``at`` is the time to go by where it tells none."""
        account = event.account
        if event.kind != "account" or not isinstance(account, dict) or account.get("active") is not False:
            return
        # Whatever else stands there may be of any form.
        if str(account.get("status")) in GONE:
            self._departures.setdefault(event.did, _Departure(event.time_us or at))

    def deletions(self, taken: Taken | None, at_most: int, now: datetime) -> list[Post]:
        """The next of them, ``at_most`` so many."""
        found: list[Post] = []
        for did, departure in list(self._departures.items()):
            room = at_most - len(found)
            keys = taken.keys_of(did, departure.after, room) if taken is not None else ()
            found += [deletion_of(did, key, now) for key in keys]
            if len(keys) == room:
                departure.after = keys[-1] if keys else departure.after
                break
            del self._departures[did]
        self.told += len(found)
        return found

    def clear(self) -> None:
        """The stream is taken up anew, before all of them."""
        self._departures.clear()
