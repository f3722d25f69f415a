"""How each connector stands: written by the connector's own thread, read by whoever shows it.

Knows nothing of threads' comings and goings, of HTTP and of meters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from pipeline.app import logs
from pipeline.app.collect import Tally
from pipeline.core.protocols import Connector, Cursor, Limit, Read

State = Literal["starts", "reads", "waits", "rests", "parked", "silent", "sends", "ended"]
STATES: tuple[State, ...] = ("starts", "reads", "waits", "rests", "parked", "silent", "sends", "ended")
WORKING: tuple[State, ...] = ("starts", "reads")
"""States of a connector that nothing keeps from its work."""

SENDING_SECONDS = 15.0
"""So long Kafka may take to confirm a read before that is worth a word."""


class LimitLeft(Struct, frozen=True):
    """A platform's limit as it was told last; ``resets_at`` is in seconds since 1970."""

    name: str
    left: int | None = None
    total: int | None = None
    resets_at: float | None = None


class Standing(Struct, frozen=True):
    """One connector. Times are in seconds since 1970.

    ``again`` is when it is tried again, ``posts`` counts since this process began, ``last_post`` is when
    Kafka had the last of them, ``lag_seconds`` how old the newest post of the last read was when it was read.
    """

    name: str
    kind: str
    state: State = "starts"
    reason: str = ""
    again: float | None = None
    posts: int = 0
    rejected: int = 0
    last_post: float | None = None
    lag_seconds: float | None = None
    limits: tuple[LimitLeft, ...] = ()


class Watch:
    """Follows one connector. ``silent_seconds`` is how long a read may last before the connector counts as
    silent; ``clock`` is in seconds since 1970."""

    def __init__(
        self, name: str, kind: str, silent_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._silent_seconds = silent_seconds
        self._clock = clock
        self._standing = Standing(name, kind)
        # What its thread does just now, and since when.
        self._busy: tuple[Literal["read", "send"], float] | None = None
        self.worked = False

    @property
    def standing(self) -> Standing:
        """How it stands now; a thread that hangs cannot say so itself."""
        standing, busy = self._standing, self._busy
        if busy is None:
            return standing
        what, since = busy
        spent = self._clock() - since
        if what == "read" and spent > self._silent_seconds:
            reason = f"has not answered for {spent:.0f} s"
            return replace(standing, state="silent", reason=reason, again=None)
        if what == "send" and spent > SENDING_SECONDS:
            reason = f"Kafka has not confirmed its posts for {spent:.0f} s"
            return replace(standing, state="sends", reason=reason, again=None)
        return standing

    def begin(self, kind: str) -> None:
        """It is tried, for the first time or anew."""
        self.worked = False
        self._standing = replace(self._standing, kind=kind)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """For as long as the connector has the word."""
        self._busy = ("read", self._clock())
        try:
            yield
        finally:
            self._busy = None

    def has_read(self, read: Read) -> None:
        """It came back with something, if only with nothing new; Kafka has to confirm it next."""
        now = self._clock()
        self.worked = True
        self._busy = ("send", now)
        told = tuple(LimitLeft(one.name, one.left, one.total, _moment(one, now)) for one in read.limits)
        kept = tuple(one for one in self._standing.limits if one.name not in {new.name for new in told})
        made = [post.created_at for post in read.posts if isinstance(post.created_at, datetime)]
        lag = max(now - max(made).timestamp(), 0.0) if made else self._standing.lag_seconds
        self._standing = replace(
            self._standing, state="reads", reason="", again=None, lag_seconds=lag, limits=kept + told
        )

    def has_sent(self, tally: Tally) -> None:
        """Kafka has what was read; ``tally`` is of this one read."""
        self._busy = None
        old = self._standing
        last = self._clock() if tally.posts else old.last_post
        self._standing = replace(
            old, posts=old.posts + tally.posts, rejected=old.rejected + tally.rejected, last_post=last
        )

    def stands(self, state: State, reason: str = "", seconds: float | None = None) -> None:
        """It does not work now, for ``reason``, and is tried again in so many ``seconds``."""
        self._busy = None
        again = None if seconds is None else self._clock() + seconds
        shown = logs.concealed(reason)
        self._standing = replace(self._standing, state=state, reason=shown, again=again)


def _moment(limit: Limit, now: float) -> float | None:
    return None if limit.resets is None else now + limit.resets


class Watched:
    """A connector whose reads are followed."""

    def __init__(self, connector: Connector, watch: Watch) -> None:
        self._connector = connector
        self._watch = watch

    def read(self, cursor: Cursor | None) -> Read:
        """As the connector's own."""
        with self._watch.reading():
            read = self._connector.read(cursor)
        self._watch.has_read(read)
        return read

    def close(self) -> None:
        """As the connector's own."""
        self._connector.close()


def hindrances(standings: Sequence[Standing]) -> dict[str, str]:
    """What keeps connectors from their work, by name. A parked one is a person's business: it counts only
    where no other works."""
    alive = any(one.state not in ("parked", "ended") for one in standings)
    return {
        one.name: one.reason
        for one in standings
        if one.state not in (*WORKING, "ended") and not (one.state == "parked" and alive)
    }
