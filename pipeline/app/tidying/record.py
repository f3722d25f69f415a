"""When the installation was tidied last, and what for: one document beside the posts, shared by all workers.

The first to write the version after the one that is there has that day's work.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.core.post import Time
from pipeline.core.settings import ElasticsearchSettings
from sinks.store import Put, Store

KIND = "tidying"
_ID = "daily"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Record(Struct, frozen=True, kw_only=True):
    """The last run. ``tidied_at`` is when one was finished last, by this one or before. ``did`` says in
    sentences what was done; ``merged`` is the uuid of each index when it was merged; ``swept`` are the two
    moments of the expiry up to which all of the log was swept."""

    id: str = _ID
    began_at: Time
    finished_at: Time | None = None
    tidied_at: Time | None = None
    did: tuple[str, ...] = ()
    merged: dict[str, str] = {}
    swept: tuple[Time, Time] | None = None


class Records:
    """Where the record lies. Every method raises RetryableError, ConfigError."""

    def __init__(self, client: Elasticsearch, settings: ElasticsearchSettings) -> None:
        self._store = Store(client, settings, KIND)

    def read(self) -> Record | None:
        """The last run, None where there was none."""
        found = self._store.get([_ID]).get(_ID)
        return msgspec.convert(_timed(found.source), Record) if found else None

    def claim(self, now: datetime) -> bool:
        """Whether the work of this day is ours: of all who ask, the first's."""
        self._store.prepare()
        found = self._store.get([_ID]).get(_ID)
        known = msgspec.convert(_timed(found.source), Record) if found else Record(began_at=now)
        if found and is_taken(known, now):
            return False
        # Above what is there also where that was written by a clock that was ahead.
        version = max(_day(now), found.version + 1 if found else 0)
        begun = msgspec.structs.replace(known, began_at=now, finished_at=None, did=())
        return self._store.put([Put(_ID, version, begun)], only_newer=True)[0]

    def write(self, record: Record, now: datetime) -> None:
        """The record as it is now."""
        self._store.prepare()
        found = self._store.get([_ID]).get(_ID)
        version = max(_day(now), found.version if found else 0)
        self._store.put([Put(_ID, version, record)])


def is_taken(record: Record, now: datetime) -> bool:
    """Whether somebody has begun with the work of this day. Who has begun in days to come had a wrong clock,
    and does not keep us waiting until then."""
    return 0 <= _day(record.began_at) - _day(now) <= 1


def _day(now: datetime) -> int:
    return (now - _EPOCH).days


def _timed(source: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in source.items() if value is not None}
