"""Cases in Elasticsearch: read, change, write, and once more where somebody was quicker.

The version of a document is the case's revision, and a write must be exactly one above what was read:
so of two who change the same state one fails and looks again. What was written goes into the journal,
which the caller gives; what an earlier writer may have left out of it goes there first.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.core.case import Case, Entry, as_one, case_from, document_of
from pipeline.core.errors import RetryableError
from pipeline.core.portions import portions
from pipeline.core.post import Time
from pipeline.core.settings import ElasticsearchSettings
from sinks._client import answering, request
from sinks._look import Look
from sinks._recent import Recent
from sinks.store import Put, Store

Journal = Callable[[Sequence[Entry]], None]
"""Takes steps, and returns once they are safe."""

Work = Callable[[str, Case | None], Case | None]
"""A case by its id, as it is, to the case as it shall be; the very same, or None, changes nothing."""

READY = "ready"
"""A document beside the cases: they are all there. It is written last when they come from the journal."""

ROUNDS = 30
ANSWERS_KEPT = 200


class NotReady(RetryableError):
    """The index was not yet filled from the journal, or is just being filled."""


class Held(Struct, frozen=True):
    """A case as the index holds it, and the revision up to which the journal is known to have it."""

    case: Case
    journaled: int

    def tail(self) -> list[Entry]:
        """The steps that the journal may lack."""
        return [
            Entry(case=self.case.id, step=step)
            for step in self.case.history
            if step.revision > self.journaled
        ]


class Answer(Struct, frozen=True):
    """A post of our own, and when it was written."""

    post: str
    at: Time


class _Answers(Struct, frozen=True):
    id: str
    answers: tuple[Answer, ...] = ()


class Cases:
    """The cases of one installation, and the marks of answers beside them. Thread-safe.

    Every method raises RetryableError where the server is away or is overtaken all the time, NotReady
    where the cases must come from the journal first, ConfigError where a person has to act.
    """

    def __init__(
        self,
        client: Elasticsearch,
        settings: ElasticsearchSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.store = Store(client, settings, "cases")
        self._answers = Store(client, settings, "answers")
        self._recent: Recent[Held] = Recent()
        self._ready = ""
        self._clock = clock
        self._sleep = sleep

    def prepare(self) -> None:
        """Makes the indices where they are not there. Repeatable."""
        self.store.prepare()
        self._answers.prepare()

    def fill(self, cases: Sequence[Case]) -> None:
        """Writes cases as the journal has them; what is newer in the index stays."""
        self.store.put([Put(case.id, case.revision, document_of(case, case.revision)) for case in cases])

    def finish(self) -> None:
        """All cases of the journal are there: work may begin."""
        self.store.put([Put(READY, 1, {READY: True})])
        self.store.refresh()

    def freeze(self) -> None:
        """Nobody may write any more: the index is about to be dropped."""
        with answering(self.store.client, self.store.index):
            path = f"/{self.store.index}/_settings?ignore_unavailable=true&allow_no_indices=true"
            request(self.store.client, "PUT", path, b'{"index.blocks.write":true}')

    def drop(self) -> None:
        """Deletes the cases; the marks of answers stay."""
        self.store.drop()

    def remove(self, cases: Sequence[Case]) -> list[Case]:
        """Deletes cases; returns those that are gone, without any that somebody has changed meanwhile."""
        puts = [Put(case.id, case.revision + 1, None) for case in cases]
        done = self.store.put(puts, only_newer=True) if puts else []
        return [case for case, gone in zip(cases, done, strict=True) if gone]

    def forget_answers(self, before: datetime) -> None:
        """Deletes the marks whose answers are all older."""
        self._answers.refresh()
        held = self._answers.search({"match_all": {}})
        for portion in portions(held, ANSWERS_KEPT):
            told = [(found.version, msgspec.convert(found.source, _Answers)) for found in portion]
            old = [
                Put(_short(marked.id), version + 1, None)
                for version, marked in told
                if all(one.at < before for one in marked.answers)
            ]
            if old:
                self._answers.put(old, only_newer=True)

    def get(self, ids: Sequence[str]) -> dict[str, Held]:
        """Those of the ids that are there, as they are this instant."""
        found = self.store.get([READY, *ids])
        if READY not in found:
            raise NotReady(
                f"the cases of {self.store.index} are being brought back from the log: try again in a"
                " moment, or run `groundswell rebuild --keep` where nothing does"
            )
        return {id: Held(*case_from(one.source)) for id, one in found.items() if id != READY}

    def all(self, query: Mapping[str, Any] | None = None, **how: Any) -> Iterable[Held]:
        """The cases that a query finds, all where there is none; ``how`` as `Store.search`."""
        wanted: dict[str, Any] = {"bool": {"filter": [{"exists": {"field": "state"}}]}}
        if query is not None:
            wanted["bool"]["filter"].append(dict(query))
        for found in self.store.search(wanted, **how):
            yield Held(*case_from(found.source))

    def holding(self, posts: Sequence[str], threads: Sequence[str] = ()) -> dict[str, Held]:
        """The cases with any of these posts, or of these threads, whoever wrote them a moment ago, by id."""
        return self._holding(self.store.look(), posts, threads) if posts or threads else {}

    def met(self, posts: Sequence[str], threads: Sequence[str]) -> dict[str, Held]:
        """As `holding`, for who goes on to change cases and to open those that are not there."""
        now = self.store.look()
        if now is None or now.uuid != self._ready:
            self.get([])
            self._ready = now.uuid if now else ""
        return self._holding(now, posts, threads)

    def _holding(self, now: Look | None, posts: Sequence[str], threads: Sequence[str]) -> dict[str, Held]:
        either: list[dict[str, Any]] = []
        if posts:
            either.append({"terms": {"posts": sorted(set(posts))}})
        if threads:
            either.append({"terms": {"thread": sorted(set(threads))}})
        of_posts, of_threads = set(posts), set(threads)
        unseen = {
            id: held
            for id, held in self._unseen(now).items()
            if held.case.thread in of_threads or not of_posts.isdisjoint(held.case.posts)
        }
        query = {"bool": {"should": either, "minimum_should_match": 1}}
        return {held.case.id: held for held in self.all(query)} | unseen

    def _unseen(self, now: Look | None) -> dict[str, Held]:
        """What a search does not show: after this, and with these, it shows what anybody wrote before."""
        ours = self._recent.since(now)
        if ours is None:
            self.store.refresh()
            self._recent.begin(now)
            return {}
        return ours

    def change(
        self, ids: Iterable[str], work: Work, journal: Journal, known: Mapping[str, Held] | None = None
    ) -> dict[str, Case]:
        """Does the work on each case and returns those that are there at the end.

        ``work`` is pure, for it is repeated where somebody else was quicker. ``known`` spares the first
        reading: a case that is not among them is taken for one that is not there, and where it is all the
        same, its write fails and it is read. All steps are in the journal when this returns, also those of
        cases that did not change.
        """
        left = list(dict.fromkeys(ids))
        done: dict[str, Case] = {}
        for turn in range(ROUNDS):
            if not left:
                return done
            found = known if turn == 0 and known is not None else self.get(left)
            wanted: list[tuple[Held | None, Case]] = []
            tails: list[Entry] = []
            for id in left:
                held = found.get(id)
                before = held.case if held else None
                after = work(id, before)
                tails += held.tail() if held else []
                if after is not None and after is not before:
                    wanted.append((held, as_one(before, after)))
                elif before is not None:
                    done[id] = before
            journal(tails)
            left = self._write(wanted, done, journal)
            if left:
                # Who lost steps aside for a moment, each for another one.
                self._sleep(random.uniform(0.0, 0.01 * (turn + 1)))
        raise RetryableError(f"case {left[0]} is changed by others all the time: try again")

    def _write(
        self, wanted: Sequence[tuple[Held | None, Case]], done: dict[str, Case], journal: Journal
    ) -> list[str]:
        """Writes the cases one revision above what was read; returns the ids of those that lost."""
        if not wanted:
            return []
        now = self._clock()
        puts = [
            Put(case.id, case.revision, document_of(case, held.case.revision if held else 0, now))
            for held, case in wanted
        ]
        entries, lost = [], []
        for (held, case), number in zip(wanted, self.store.write(puts, only_newer=True), strict=True):
            if number is not None:
                self._recent.note(number, case.id, Held(case, held.case.revision if held else 0))
                done[case.id] = case
                entries.append(Entry(case=case.id, step=case.history[-1]))
            else:
                lost.append(case.id)
        journal(entries)
        return lost

    def mark(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        """Remembers what was answered, by `post_key` and `thread_key`, for cases that are still to come."""
        left = list(answers)
        for turn in range(ROUNDS):
            found = self._answers.get([_short(key) for key in left])
            puts, keys = [], []
            for key in left:
                held = found.get(_short(key))
                known = msgspec.convert(held.source, _Answers).answers if held else ()
                merged = _with(known, answers[key])
                if merged != known:
                    version = held.version + 1 if held else 1
                    puts.append(Put(_short(key), version, _Answers(key[:500], merged)))
                    keys.append(key)
            done = self._answers.put(puts, only_newer=True) if puts else []
            left = [key for key, won in zip(keys, done, strict=True) if not won]
            if not left:
                return
            self._sleep(random.uniform(0.0, 0.01 * (turn + 1)))
        raise RetryableError(f"the answers to {left[0]} are changed by others all the time: try again")

    def marks(self, keys: Sequence[str]) -> dict[str, tuple[Answer, ...]]:
        """The answers of each key that has any, as they are this instant."""
        found = self._answers.get([_short(key) for key in keys])
        held = {key: found.get(_short(key)) for key in keys}
        return {key: msgspec.convert(one.source, _Answers).answers for key, one in held.items() if one}


def post_key(post_id: str) -> str:
    """The key of the answers to a post."""
    return f"post {post_id}"


def thread_key(source: str, thread: str) -> str:
    """The key of the answers in a thread."""
    return f"thread {source} {thread}"


def _short(key: str) -> str:
    """Threads may be longer than an `_id`."""
    return blake2b(key.encode(), digest_size=16).hexdigest()


def _with(known: Sequence[Answer], more: Sequence[Answer]) -> tuple[Answer, ...]:
    """All answers by time, each post once at its earliest; the latest where there are too many."""
    earliest: dict[str, datetime] = {}
    for answer in (*known, *more):
        earliest[answer.post] = min(answer.at, earliest.get(answer.post, answer.at))
    merged = sorted((Answer(post, at) for post, at in earliest.items()), key=lambda one: (one.at, one.post))
    return tuple(merged[-ANSWERS_KEPT:])
