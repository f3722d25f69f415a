"""Enriches posts once more: sends them through `enrich` again, a few at a time, beside live traffic.

The truth is the log of events, not the index. Each portion is waited for until it is back in the log, so that
no more than one is ever on its way: killed at any time, the same call goes on, and does at most that portion
twice. Sends to the posts topic and writes nothing else, so enrich stays the only writer of a post.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import LogRecord
from pipeline.app.offsets import spans
from pipeline.app.producer import Producer, Record
from pipeline.app.reenriching.beside import Beside
from pipeline.app.reenriching.survey import Survey
from pipeline.app.reenriching.tail import Tail
from pipeline.app.site import now
from pipeline.app.topics import Topics, admin_client
from pipeline.core.errors import FatalError, RetryableError
from pipeline.core.event import Event, decode_event
from pipeline.core.headers import once_more
from pipeline.core.index_name import index_of
from pipeline.core.post import encode_post
from pipeline.core.reenrichment import Choice, Verdict
from pipeline.core.rerouting import Before
from pipeline.core.version import MAX_OPERATION, unpack, version_of

# A log that says nothing for so long before its end is reached is taken to be away.
_SILENCE_SECONDS = 30.0
# Portions in a row that come back as stale as they were, and the rest after each: time for the workers to
# take up files that were changed just now.
_MISSES = 15
_MISS_REST = 2.0


class Tally(Struct):
    """``sent`` are posts that are back in the log, ``refused`` those that enrich rejected, and ``kept`` those
    that would move to another index."""

    sent: int = 0
    refused: int = 0
    kept: int = 0


class Ways(Struct, frozen=True):
    """What a re-enrichment works with. ``prefix`` begins the names of indices."""

    brokers: Brokers
    topics: Topics
    producer: Producer
    beside: Beside
    prefix: str


class Reenricher:
    """One run. ``held``: posts come to no more queues than they were in."""

    def __init__(
        self, ways: Ways, choice: Choice, *, held: bool, report: Callable[[Tally], None] = lambda _: None
    ) -> None:
        self._ways = ways
        self._choice = choice
        self._held = held
        self._report = report
        self._misses = 0
        self.tally = Tally()

    def run(self) -> Tally:
        """Returns when no post is left that is to be enriched once more.

        Raises FatalError where the workers keep writing other versions than our settings have, RetryableError
        when Kafka is away.
        """
        for number in partitions(self._ways):
            follower = Tail(self._ways.brokers, self._ways.topics.events.name, number)
            try:
                self._partition(number, follower)
            finally:
                follower.close()
        return self.tally

    def _partition(self, number: int, follower: Tail) -> None:
        survey = surveyed(follower, self._choice)
        first = survey.first
        if first is None:
            return
        source = Tail(self._ways.brokers, self._ways.topics.events.name, number, first)
        waiting: deque[LogRecord] = deque()
        beside = self._ways.beside
        try:
            while waiting or source.next <= survey.last:
                if not waiting:
                    waiting.extend(filter(survey.is_wanted, source.poll(0.2)))
                    continue
                size = 1 if self._misses else beside.pace.portion
                portion = [waiting.popleft() for _ in range(min(size, len(waiting)))]
                beside.wait()
                # What was changed meanwhile has been enriched by that, or is behind us in the log.
                while records := follower.poll(0.0):
                    survey.enter(records)
                self._send(number, list(filter(survey.is_wanted, portion)), follower, survey)
        finally:
            source.close()

    def _send(self, number: int, portion: Sequence[LogRecord], follower: Tail, survey: Survey) -> None:
        """Sends a portion, and returns when it is back."""
        records: list[Record] = []
        pending: dict[bytes, int] = {}
        for found in portion:
            event = decode_event(found.value or b"")
            post = event.post
            if index_of(self._ways.prefix, post.created_at, post.collected_at or now()) != event.index:
                # Its date lay in the future when it came. One id lives in one index.
                survey.set_aside(found.key)
                self.tally.kept += 1
                continue
            # An equal version is written too, so the last operation of all can be used again and again.
            operation = min(unpack(event.version)[1] + 1, MAX_OPERATION)
            records.append(self._record(event, operation))
            pending[found.key] = version_of(post, operation)
        if not records:
            return
        began = time.monotonic()
        self._ways.beside.pace.sent(len(records), began)
        self._ways.producer.deliver(records)
        fault = self._await(number, pending, follower, survey)
        self._ways.beside.pace.heard(time.monotonic() - began)
        self.tally.sent += len(records) - len(pending)
        self.tally.refused += len(pending)
        self._report(self.tally)
        self._judge(fault)

    def _record(self, event: Event, operation: int) -> Record:
        headers = once_more(operation, Before(event.routes, self._held))
        return Record(self._ways.topics.posts.name, event.post.id.encode(), encode_post(event.post), headers)

    def _await(self, number: int, pending: dict[bytes, int], follower: Tail, survey: Survey) -> str:
        """Takes those from ``pending`` that are back; what is left then was refused. Returns in which step
        one came back otherwise than it should."""
        fault = ""
        confirmed = self._ways.beside.confirmation(number)
        end: int | None = None
        while pending and (end is None or follower.next < end):
            # What enrich has confirmed stands in the log.
            if end is None and confirmed.over():
                end = follower.end()
            for key, glance in survey.enter(follower.poll(0.05)):
                if glance.version < pending.get(key, glance.version + 1):
                    continue
                if glance.version == pending.pop(key):
                    fault = fault or self._choice.fault(glance.versions)
        return fault

    def _judge(self, fault: str) -> None:
        if not fault:
            self._misses = 0
            return
        self._misses += 1
        if self._misses > _MISSES:
            raise FatalError(
                f"enrich writes {fault}, which these settings would write: give its workers the same settings"
                " and files, restart them if they do not watch these (enrich.reload_seconds), and call again"
            )
        time.sleep(_MISS_REST)


def surveyed(follower: Tail, choice: Choice) -> Survey:
    """All of a partition as it is now. Raises RetryableError when Kafka falls silent on the way."""
    survey = Survey(choice)
    heard = time.monotonic()
    end = follower.end()
    while follower.next < end:
        if records := follower.poll(0.5):
            survey.enter(records)
            heard = time.monotonic()
        elif time.monotonic() - heard > _SILENCE_SECONDS:
            raise RetryableError("Kafka fell silent in the middle of the events topic")
    return survey


def counted(ways: Ways, choice: Choice) -> Counter[Verdict]:
    """All posts, by what is to become of them. Sends nothing."""
    found: Counter[Verdict] = Counter()
    for number in partitions(ways):
        follower = Tail(ways.brokers, ways.topics.events.name, number)
        try:
            found += surveyed(follower, choice).sums()
        finally:
            follower.close()
    return found


def partitions(ways: Ways) -> list[int]:
    """The numbers of the partitions of the events topic."""
    admin = admin_client(ways.brokers)
    try:
        return sorted(spans(admin, ways.topics.events.name, None))
    finally:
        admin.close()
