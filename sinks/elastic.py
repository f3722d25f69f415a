"""The sink to Elasticsearch: one document a post, whose `_id` is the post's and whose version is the event's.

The server keeps the newest version whatever the order and however often events are sent
(``version_type=external_gte``), so every write may be repeated, and a lower version that is refused
with 409 has done its work. What a document holds (`_document`), where it goes (`_locate`), how it is
sent (`_bulk`) and what the answer means (`_outcome`) have their own modules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock

from elasticsearch import Elasticsearch

from pipeline.core.errors import RetryableError
from pipeline.core.event import Event
from pipeline.core.index_name import undated
from pipeline.core.retention import Expiry
from pipeline.core.settings import ElasticsearchSettings
from sinks._acquaintance import Acquaintance
from sinks._bulk import Write, send
from sinks._client import PACE, answering, client_for, request
from sinks._document import encode
from sinks._locate import Locator
from sinks._look import Look, look, shards_of
from sinks._outcome import Outcome, Verdict
from sinks._template import drop, prepare, shipped
from sinks.months import reopen

__all__ = [
    "PACE",
    "SETTINGS",
    "ElasticSink",
    "answering",
    "build",
    "client_for",
    "drop",
    "encode",
    "prepare",
    "request",
    "shipped",
]

SETTINGS = ElasticsearchSettings

BULK_BYTES = 5_000_000
KNOWN_IDS = 100_000
PAUSES = (0.1, 0.5)
"""Seconds before the second and the third try within one write; after that the caller decides."""


def build(
    settings: ElasticsearchSettings,
    url: str,
    bulk_bytes: int = BULK_BYTES,
    expiry: Callable[[], Expiry] = Expiry,
    confirmed: Callable[[], bool] = bool,
) -> ElasticSink:
    """The sink for the server at ``url``; connects when first used. ``bulk_bytes`` bounds one request,
    ``expiry`` tells what is past its time now, and ``confirmed`` whether there must be an index already.

    Raises ConfigError where the certificate file cannot be read.
    """
    return ElasticSink(client_for(settings, url), settings, bulk_bytes, expiry=expiry, confirmed=confirmed)


class ElasticSink:
    """Implements :class:`pipeline.core.protocols.Sink`. Several threads may write at once as long as
    no two of them hold events of the same post."""

    def __init__(  # noqa: PLR0913 - what tests give otherwise
        self,
        client: Elasticsearch,
        settings: ElasticsearchSettings,
        bulk_bytes: int = BULK_BYTES,
        *,
        known_ids: int = KNOWN_IDS,
        sleep: Callable[[float], None] = time.sleep,
        expiry: Callable[[], Expiry] = Expiry,
        confirmed: Callable[[], bool] = bool,
    ) -> None:
        self.client = client
        self._settings = settings
        self._bulk_bytes = bulk_bytes
        self._locator = Locator(client, settings.prefix, known_ids, expiry)
        self._sleep = sleep
        self._acquaintance = Acquaintance(client, settings.prefix, confirmed)
        self._generation = ""
        self._shards = 0
        self._preparing = Lock()

    def write(self, events: Sequence[Event]) -> list[str | None]:
        """None for each event that the index holds or has a newer version of, else why it was refused. None,
        too, for those that are past their time: they are not written, but where their post still is.

        Raises RetryableError with the state of the server where some could not be written: repeat
        the whole call. Raises ConfigError where a person has to act.
        """
        if not events:
            return []
        now = self._prepare()
        waiting = _by_post(events)
        homes = self._locator.locate(waiting, now)
        waiting = {id: _in_order(states) for id, states in waiting.items() if id in homes}
        refused: dict[int, str] = {}
        pauses = iter(PAUSES)
        while waiting:
            writes = [Write(states[-1], homes[id]) for id, states in waiting.items()]
            outcomes = send(self.client, writes, self._bulk_bytes)
            waiting, trouble = self._settle(waiting, writes, outcomes, refused)
            if trouble is not None:
                pause = next(pauses, None)
                if pause is None or (trouble.retry_after or 0.0) > pause:
                    raise trouble
                self._sleep(pause)
        return [refused.get(id(event)) for event in events]

    def catch_up(self) -> None:
        """From now on all is known that others wrote before this call. Raises as :meth:`write` does."""
        self._prepare()
        self._locator.homes.refresh()

    def authors(self, events: Sequence[Event]) -> dict[str, str]:
        """The author of each post of the events that the index holds with one, this instant: post id to
        author id. Raises as :meth:`write` does."""
        now = self._prepare()
        return self._locator.authors(self._locator.locate(_by_post(events), now))

    def close(self) -> None:
        """Lets go of the connections; may be called twice."""
        self.client.close()

    def _prepare(self) -> Look | None:
        """Here and not in `build`, for collecting and enriching go on while Elasticsearch is away; and
        each time, for a rebuild may drop the indices under a running daemon. Returns the undated index."""
        index = undated(self._settings.prefix)
        with self._preparing:
            now = look(self.client, index)
            if now is None or now.uuid != self._generation:
                self._acquaintance.renew(has_index=now is not None)
                prepare(self.client, self._settings)
                self._locator.homes.clear()
                now = look(self.client, index)
                self._shards = shards_of(self.client, index)
                self._generation = now.uuid if now else ""
            return now and now.of(self._shards)

    def _settle(
        self,
        waiting: dict[str, list[Event]],
        writes: Sequence[Write],
        outcomes: Sequence[Outcome],
        refused: dict[int, str],
    ) -> tuple[dict[str, list[Event]], RetryableError | None]:
        """Books each outcome; returns what is to be sent next, and the trouble that stands in the way."""
        left: dict[str, list[Event]] = {}
        trouble: RetryableError | None = None
        safe: list[tuple[str, str]] = []
        closed: set[str] = set()
        for write, outcome in zip(writes, outcomes, strict=True):
            post_id = write.event.post.id
            states = waiting[post_id]
            if outcome.verdict is Verdict.AGAIN:
                left[post_id] = states
                if outcome.blocked and (write.index in closed or self._reopen(write.index)):
                    closed.add(write.index)
                    continue
                trouble = RetryableError(outcome.words, outcome.retry_after)
            elif outcome.verdict is Verdict.REFUSED:
                refused[id(states.pop())] = outcome.words
                if states:
                    # The state before it is then the newest that can be had.
                    left[post_id] = states
            else:
                safe.append((post_id, write.index))
        self._locator.homes.remember(safe)
        return left, trouble

    def _reopen(self, index: str) -> bool:
        """Whether it was our own housekeeping that closed the month, and it takes writes again: late edits
        and deletions must reach it. What somebody else blocked stays so."""
        return reopen(self.client, self._settings.prefix, index)


def _by_post(events: Sequence[Event]) -> dict[str, list[Event]]:
    """The events of each post, as they came."""
    posts: dict[str, list[Event]] = {}
    for event in events:
        posts.setdefault(event.post.id, []).append(event)
    return posts


def _in_order(states: list[Event]) -> list[Event]:
    """The newest last; of equal versions the one that came last. Only that is written: the others are
    superseded before they are sent."""
    return sorted(states, key=_version) if len(states) > 1 else states


def _version(event: Event) -> int:
    return event.version
