"""Links posts anew when customers change: a thread that looks twice at the posts that a change may touch.

The first look comes as soon as the directory of this machine has the change, the second when the posts
that were on their way meanwhile have come to rest in the index. Changes that wait are looked at together:
the import of a million customers makes some hundred queries. Sends to the posts topic and writes nothing
else, so enrich stays the only writer of a post. What is safe to repeat is repeated after a death.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from msgspec import Struct

from pipeline.app.directory.posts import PostsReader
from pipeline.app.directory.relink import Targets, joined, queries, relinked, targets_of
from pipeline.app.directory.settling import Settling
from pipeline.app.health import Health
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer, Record
from pipeline.core.customer import Customer
from pipeline.core.errors import FatalError, RejectedError, RetryableError
from pipeline.core.metrics import RELINKED
from pipeline.identity.directory import Change, DirectoryReader

log = logging.getLogger("groundswell.relink")

# Changes that one look takes together, and those that may wait for their looks. A waiting one is its keys,
# some 800 bytes.
TOGETHER = 50_000
MOST_WAITING = 200_000
_POLL_SECONDS = 0.1
_SETTLING_SECONDS = 0.5
# A second look that waits for longer is worth a line in the log.
_TELL_SECONDS = 60.0


class Work(Struct, frozen=True, eq=False):
    """Some changes; each future is done when that look is, and what it sent is safe in Kafka."""

    changes: list[Change]
    first: Future[None]
    second: Future[None]


class _Due(Struct, frozen=True, eq=False):
    """Changes that had their first look. ``at`` is when the second may come, by the monotonic clock."""

    at: float
    targets: Targets
    changes: int
    works: tuple[Work, ...]


class Ways(Struct, frozen=True):
    """The far sides of a relinker. ``before`` gives customers as they were by their ids, ``is_past`` says
    whether the directory has the records at some offsets, ``settling`` begins a wait for what is on its way.
    """

    prepare: Callable[[], None]
    before: Callable[[Sequence[str]], Mapping[str, Customer]]
    is_past: Callable[[Mapping[int, int]], bool]
    settling: Callable[[], Settling]
    posts: PostsReader
    directory: DirectoryReader
    producer: Producer
    posts_topic: str


class Relinker:
    """One a process. ``settle_seconds`` lie between the first look and the second, at least. ``over`` is
    done when the thread has ended, with the failure that ended it."""

    def __init__(self, ways: Ways, settle_seconds: float, patience: Patience, health: Health) -> None:
        self._ways = ways
        self.over: Future[None] = Future()
        self._settle_seconds = settle_seconds
        self._patience = patience
        self._health = health
        self._turn = threading.Condition()
        self._ended = False
        self._new: deque[Work] = deque()
        self._due: deque[_Due] = deque()
        self._settling: tuple[Settling, _Due, float] | None = None
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="groundswell-relink", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    @property
    def crowded(self) -> bool:
        """Whether no more changes should be brought for now."""
        return self._waiting >= MOST_WAITING

    def submit(self, changes: list[Change]) -> Work:
        """Takes changes on; both looks of them are then due. The futures fail with what ends the thread."""
        work = Work(changes, Future(), Future())
        with self._turn:
            if self.over.done():
                raise FatalError("posts are no longer linked anew; the reason stands above")
            self._new.append(work)
            self._waiting += len(changes)
            self._turn.notify()
        return work

    def end(self) -> None:
        """Ends the thread; what waits is done again after the next start. May be called twice."""
        with self._turn:
            self._ended = True
            self._turn.notify()
        self._patience.end()
        # The thread may wait for a Kafka that is away, without end.
        self._ways.producer.abandon()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._patience.insist(self._ways.prepare)
            while not self._ended:
                if works := self._next():
                    self._look_first(works)
                self._look_second()
            raise FatalError("told to end")
        except Exception as error:
            self._fail(error)
        finally:
            if self._settling is not None:
                self._settling[0].close()

    def _fail(self, error: Exception) -> None:
        with self._turn:
            if self._ended:
                self.over.set_result(None)
            else:
                self.over.set_exception(error)
            works = [*self._new, *(work for due in self._due for work in due.works)]
            if self._settling is not None:
                works += self._settling[1].works
        for future in (future for work in works for future in (work.first, work.second)):
            if not future.done():
                future.set_exception(error)

    def _next(self) -> list[Work]:
        """New changes to be looked at together; waits a little where there are none."""
        with self._turn:
            if not self._new and not self._ended:
                self._turn.wait(_SETTLING_SECONDS if self._due or self._settling else None)
            works: list[Work] = []
            size = 0
            while self._new and size < TOGETHER:
                size += len(self._new[0].changes)
                works.append(self._new.popleft())
            return works

    def _look_first(self, works: list[Work]) -> None:
        try:
            changes = [change for work in works for change in work.changes]
            targets = self._targets(changes)
            began = time.monotonic()
            sent = self._look(targets, "first")
        except Exception as error:
            with self._turn:
                self._new.extendleft(reversed(works))
            raise error
        if sent:
            took = time.monotonic() - began
            log.info("%d changes of customers: %d posts are linked anew (%.1f s)", len(changes), sent, took)
        due = time.monotonic() + self._settle_seconds
        # The changes themselves are let go of: there may be many, and the keys say all.
        left = tuple(Work([], work.first, work.second) for work in works)
        self._due.append(_Due(due, targets, len(changes), left))
        for work in works:
            work.first.set_result(None)

    def _targets(self, changes: Sequence[Change]) -> Targets:
        """What to look for, once the directory has the changes."""
        ids = list({change.customer_id for change in changes})
        before = self._patience.insist(lambda: self._ways.before(ids))
        targets = targets_of(changes, before)
        while not self._ways.is_past(targets.places):
            self._stop_if_ended()
            time.sleep(_POLL_SECONDS)
        return targets

    def _look_second(self) -> None:
        """One step towards the second look at all changes that are due; never waits for long."""
        if self._settling is None:
            now = time.monotonic()
            ripe: list[_Due] = []
            while self._due and self._due[0].at <= now:
                ripe.append(self._due.popleft())
            if not ripe:
                return
            works = tuple(work for due in ripe for work in due.works)
            whole = _Due(now, joined([due.targets for due in ripe]), sum(due.changes for due in ripe), works)
            self._settling = self._ways.settling(), whole, now + _TELL_SECONDS
        settling, whole, tell_at = self._settling
        if not settling.over():
            if time.monotonic() > tell_at:
                log.warning(
                    "the second look at the posts of %d customers waits for the role %s to confirm its work",
                    len(whole.targets.ids),
                    settling.waits_for,
                )
                self._settling = settling, whole, float("inf")
            return
        settling.close()
        self._patience.insist(self._ways.posts.refresh)
        sent = self._look(whole.targets, "second")
        if sent:
            log.info("%d posts that were under way are linked anew", sent)
        self._settling = None
        with self._turn:
            self._waiting -= whole.changes
        for work in whole.works:
            work.second.set_result(None)

    def _look(self, targets: Targets, which: str) -> int:
        """Sends every post whose link differs from what the directory says now; how many these were."""
        sent: set[bytes] = set()
        for query in queries(targets):
            self._patience.insist(lambda query=query: self._send(query, targets, sent))  # type: ignore[misc]
            self._stop_if_ended()
        self._health.meters.count(RELINKED, len(sent), self._health.role, which)
        return len(sent)

    def _send(self, query: Mapping[str, object], targets: Targets, sent: set[bytes]) -> None:
        ways = self._ways
        for page in ways.posts.pages(query):
            records: list[Record] = []
            with ways.directory.moment() as moment:
                if not moment.whole:
                    raise RetryableError("the directory of customers is being built")
                for version, document in page:
                    try:
                        record = relinked(document, version, moment, targets.places, ways.posts_topic)
                    except RejectedError as error:
                        log.warning("the post %s cannot be linked anew: %s", document.get("id"), error)
                        continue
                    if record is not None and record.key not in sent:
                        records.append(record)
            ways.producer.deliver(records)
            sent.update(record.key for record in records)
            self._stop_if_ended()

    def _stop_if_ended(self) -> None:
        if self._ended:
            raise FatalError("stopped in the middle of a look; it is done again next time")
