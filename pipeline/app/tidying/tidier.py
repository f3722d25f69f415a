"""One run of tidying: months dropped, closed and merged; the log, cases and authors brought after them.

In this order: the index, then the log, then what is derived from posts. So whatever is read of the log in
between is known to be past its time. Every part may be repeated, and a run that died is done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from elasticsearch import Elasticsearch
from msgspec import Struct
from msgspec.structs import replace

from pipeline.app.producer import Record as Sent
from pipeline.app.reconstruction import Log
from pipeline.app.tidying import cases, caution, log, posts
from pipeline.app.tidying.plan import Task, tasks
from pipeline.app.tidying.record import Record, Records
from pipeline.core.index_name import undated
from pipeline.core.portions import portions
from pipeline.core.retention import Expiry
from pipeline.core.settings import Settings
from sinks import months
from sinks.cases import Cases
from sinks.server_clock import server_times
from sinks.store import Store


class Item(Struct, frozen=True):
    """What is to be done, for people: ``what`` with which ``name``, of how many ``posts``, and why."""

    what: str
    name: str
    posts: int | None
    why: str


class Tidier:
    """Tidies one installation. Every method raises RetryableError, ConfigError and FatalError."""

    def __init__(self, client: Elasticsearch, settings: Settings, written: Log) -> None:
        self._client = client
        self._settings = settings
        self._prefix = settings.elasticsearch.prefix
        self._log = written
        self.records = Records(client, settings.elasticsearch)

    def demand_right_clock(self, now: datetime) -> None:
        """Raises FatalError where the clocks of Elasticsearch say something quite other than ``now``."""
        caution.demand_right_clock(now, server_times(self._client))

    def demand_usual(self, now: datetime) -> None:
        """Raises FatalError where a person should say first that so much is to be dropped."""
        expiry, known = self._settings.expiry(now), self.records.read()
        record = known or Record(began_at=now)
        last = known.began_at if known else None
        found, sweeps = self._tasks(record, now), _is_due(record, expiry)
        caution.demand_usual(now, last, found, expiry, sweeps=sweeps)

    def plan(self, now: datetime) -> list[Item]:
        """What a run would do now."""
        expiry = self._settings.expiry(now)
        record = self.records.read() or Record(began_at=now)
        found = [Item(task.what, task.index, task.posts, task.why) for task in self._tasks(record, now)]
        by_hand = (
            ("undated", posts.undated_posts(self._client, self._prefix, expiry), expiry.posts),
            ("stubs", posts.old_stubs(self._client, self._prefix, expiry), expiry.stubs),
        )
        for name, pages, moment in by_hand:
            if count := sum(map(len, pages)):
                found.append(Item("delete", name, count, f"older than {moment:%Y.%m}"))
        if _is_due(record, expiry):
            why = ", ".join(f"{name} older than {end:%Y.%m}" for name, end in expiry.ends.items())
            found.append(Item("sweep", self._log.topics.events.name, None, why))
        return found

    def run(self, now: datetime) -> Record:
        """Does all of it; returns what was done, which is on record from then on."""
        expiry = self._settings.expiry(now)
        known = self.records.read() or Record(began_at=now)
        record = replace(known, began_at=now, finished_at=None, did=())
        did: list[str] = []
        merged = dict(record.merged)
        for task in self._tasks(record, now):
            self._do(task, expiry)
            did.append(f"{task.what} {task.index} ({task.posts} posts: {task.why})")
            if task.what == "merge":
                merged[task.index] = next(one.uuid for one in self._indices() if one.name == task.index)
        if not expiry.is_endless:
            did += self._sweep(record, expiry)
        names = {one.name for one in self._indices()}
        kept = {name: uuid for name, uuid in merged.items() if name in names}
        swept = None if expiry.is_endless else (expiry.posts, expiry.stubs)
        done = replace(record, finished_at=now, tidied_at=now, did=tuple(did), merged=kept, swept=swept)
        self.records.write(done, now)
        return done

    def finish_dropping(self, now: datetime) -> None:
        """Drops the months that somebody began to drop and died: their writers wait."""
        expiry = self._settings.expiry(now)
        for name in posts.interrupted(self._indices(), expiry):
            posts.drop(self._client, self._prefix, name, expiry)

    def _indices(self) -> list[months.Index]:
        return months.indices(self._client, self._prefix)

    def _tasks(self, record: Record, now: datetime) -> list[Task]:
        expiry = self._settings.expiry(now)
        return tasks(self._indices(), self._settings.retention, expiry, record.merged, now)

    def _do(self, task: Task, expiry: Expiry) -> None:
        if task.what == "drop":
            posts.drop(self._client, self._prefix, task.index, expiry)
        elif task.what == "close":
            months.close(self._client, self._prefix, task.index)
        else:
            months.merge(self._client, task.index)

    def _sweep(self, record: Record, expiry: Expiry) -> Iterator[str]:
        """What leaves one by one; the log once a month, for it has to be read whole."""
        posts.refresh(self._client, f"{self._prefix}-posts-*")
        pages = posts.undated_posts(self._client, self._prefix, expiry)
        if count := posts.erase(self._client, self._prefix, pages):
            yield f"deleted {count} posts of {undated(self._prefix)}"
        if count := posts.erase(
            self._client, self._prefix, posts.old_stubs(self._client, self._prefix, expiry)
        ):
            yield f"deleted {count} stubs"
        if not _is_due(record, expiry):
            return
        topics = self._log.topics
        count = log.sweep(self._log, self._settings.kafka.partitions, expiry)
        yield f"took {count} posts out of {topics.events.name}"
        held = Cases(self._client, self._settings.elasticsearch)
        held.prepare()
        count = cases.sweep(self._log, held, self._prefix, expiry)
        yield f"took {count} resolved cases out of {topics.cases.name}"
        yield f"had {self._mark_authors(expiry)} authors reckoned anew"

    def _mark_authors(self, expiry: Expiry) -> int:
        """Has those reckoned anew whose first post is past its time."""
        posts.refresh(self._client, f"{self._prefix}-posts-*")
        store = Store(self._client, self._settings.elasticsearch, "authors")
        query = {"range": {"first_seen": {"lt": expiry.posts.isoformat()}}}
        count = 0
        for portion in portions(store.search(query), 1000):
            keys = [found.source["id"].encode() for found in portion]
            self._log.producer.deliver([Sent(self._log.topics.authors.name, key, b"") for key in keys])
            count += len(keys)
        return count


def _is_due(record: Record, expiry: Expiry) -> bool:
    """Whether the log was not yet swept up to these months."""
    return not expiry.is_endless and record.swept != (expiry.posts, expiry.stubs)
