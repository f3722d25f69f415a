"""Before posts are linked: the directory of this machine must be fresh, and past what a re-link asks for.

A stale directory may link a post to somebody who has said no meanwhile. So enrich rather waits, and says
for what.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from pipeline.app.health import Health
from pipeline.core.errors import FatalError
from pipeline.core.headers import places_of
from pipeline.identity.directory import DirectoryReader

log = logging.getLogger("groundswell.directory")

# Below this a busy machine would take its own builder for gone.
LEAST_SECONDS = 5.0
_POLL_SECONDS = 0.1
# By how much the clocks of Kafka and of this machine may differ.
_SKEW = timedelta(seconds=30)


def oldest(settle_seconds: float) -> timedelta:
    """How old the directory may be for posts to be linked by it. Half of the time after which a change is
    looked at again: what was linked by an older state has then come to rest."""
    return timedelta(seconds=max(settle_seconds / 2, LEAST_SECONDS))


class Gate(Protocol):
    """What stands between fetched records and their enrichment."""

    def wait(self, records: Sequence[Any]) -> None:
        """Returns once the records may be enriched; FatalError after :meth:`end`."""
        ...

    def end(self) -> None:
        """Lets nobody wait any longer."""
        ...


class OpenGate:
    """The gate of a chain that links no customers."""

    def wait(self, records: Sequence[Any]) -> None:
        """Returns at once."""

    def end(self) -> None:
        """Nobody waits."""


class DirectoryGate:
    """Lets batches through while the directory is at most ``settle_seconds`` / 2 old."""

    def __init__(
        self,
        reader: DirectoryReader,
        settle_seconds: float,
        health: Health,
        clock: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._limit = oldest(settle_seconds)
        self._health = health
        self._clock = clock
        self._ended = threading.Event()

    def wait(self, records: Sequence[Any]) -> None:
        """Blocks until the directory is fresh and past the places that headers of the records name."""
        asked = _asked(records)
        waiting = False
        while reason := self._missing(asked):
            self._health.waits("directory", reason)
            if not waiting:
                log.warning("%s", reason)
                waiting = True
            if self._ended.wait(_POLL_SECONDS):
                raise FatalError(f"stopped while it waited: {reason}")
        if waiting:
            log.info("the directory of customers is up to date")
        self._health.works("directory")

    def _missing(self, asked: Iterable[tuple[dict[int, int], datetime]]) -> str:
        """Why these records cannot be linked yet, empty where they can."""
        fresh_at = self._reader.fresh_at()
        if fresh_at is None or self._clock() - fresh_at > self._limit:
            return "waits for the directory of customers: is the role `directory` running on this machine?"
        if not asked:
            return ""
        positions = self._reader.positions()
        for places, sent_at in asked:
            # What asked was in the topic before it was sent; so a later look at the topic has seen it, even
            # where the topic was made anew and its offsets count from zero again.
            if fresh_at > sent_at + _SKEW:
                continue
            for partition, offset in places.items():
                if positions.get(partition, 0) <= offset:
                    return (
                        f"waits until the directory of customers has record {offset} of partition {partition}"
                    )
        return ""

    def end(self) -> None:
        """Lets nobody wait any longer."""
        self._ended.set()


def _asked(records: Iterable[Any]) -> list[tuple[dict[int, int], datetime]]:
    """The places that re-links ask for, and when each was sent; the same demand once."""
    found: dict[tuple[tuple[int, int], ...], datetime] = {}
    for record in records:
        if record.headers and (places := places_of(record.headers)):
            key = tuple(sorted(places.items()))
            if key not in found:
                found[key] = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return [(dict(key), sent_at) for key, sent_at in found.items()]
