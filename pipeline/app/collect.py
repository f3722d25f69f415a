"""From a connector into the posts topic: read, send, wait for Kafka, and only then move the cursor.

The order is the promise: a crash between any two steps repeats posts and never skips one; versions
make the repeats harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime

from msgspec import Struct

from pipeline.app.producer import Producer, Record, too_big
from pipeline.app.refusal import as_record
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError, RetryableError
from pipeline.core.post import Post, encode_post
from pipeline.core.protocols import Connector, Cursor, Read
from pipeline.core.rejection import reject

log = logging.getLogger("groundswell.collect")

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 300.0
# A trouble that comes back so soon was never over, whatever was read in between: a file that is gone and
# whose writer goes on for a while, a connection that does not hold.
_SAME_SECONDS = 60.0


class Tally(Struct):
    """What a run of a connector did so far."""

    posts: int = 0
    rejected: int = 0


class _Troubles:
    """Which trouble is a new one, and so worth a line of the log. ``clock`` is in seconds and only grows."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = ""
        self._met = 0.0
        self._read_since = False

    def is_new(self, reason: str) -> bool:
        """To be asked each time that one is met."""
        now = self._clock()
        over = self._read_since and now - self._met > _SAME_SECONDS
        new = over or reason != self._last
        self._last, self._met, self._read_since = reason, now, False
        return new

    def has_read(self) -> None:
        """The connector came back with something, if only with nothing new."""
        self._read_since = True


class Pump:
    """Drives one connector. ``keep`` saves a cursor, ``report`` hears the tally after every read, and
    ``trouble`` why nothing can be read now, and in how many seconds that is tried again.

    ``rate`` is in posts a second; None is as fast as it goes. ``name`` begins the lines of its log, which
    tell each trouble once. ``clock`` is in seconds and only grows.
    """

    def __init__(  # noqa: PLR0913 - the pump's collaborators, each handed in once
        self,
        connector: Connector,
        producer: Producer,
        topics: Topics,
        stop: threading.Event,
        *,
        keep: Callable[[Cursor], None],
        report: Callable[[Tally], None],
        trouble: Callable[[str, float], None] = lambda *_: None,
        rate: float | None = None,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = f"{name}: " if name else ""
        self._connector = connector
        self._producer = producer
        self._topics = topics
        self._stop = stop
        self._keep = keep
        self._report = report
        self._trouble = trouble
        self._rate = rate
        self._clock = clock
        self._troubles = _Troubles(clock)

    def run(self, cursor: Cursor | None, *, once: bool = False) -> Tally:
        """Reads from ``cursor`` until the source ends, ``stop`` is set or, with ``once``, all that
        is there now was read.

        Raises what the connector raises, but for RetryableError, which it waits out.
        """
        tally = Tally()
        began = self._clock()
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            try:
                read = self._connector.read(cursor)
            except RetryableError as error:
                if error.retry_after:
                    # Less may come of a wrong clock, and would be a storm.
                    pause = max(error.retry_after, _FIRST_WAIT)
                else:
                    # Only these grow: a connector that asks its other hosts next says how soon itself.
                    pause, wait = wait, min(wait * 2, _LONGEST_WAIT)
                reason = str(error)
                if self._troubles.is_new(reason):
                    log.warning("%s%s; next try in %.0f s", self._name, reason, pause)
                self._trouble(reason, pause)
                self._stop.wait(pause)
                continue
            wait = _FIRST_WAIT
            self._troubles.has_read()
            if not self._deliver(read):
                break
            cursor = read.cursor
            self._keep(cursor)
            tally.posts += len(read.posts)
            tally.rejected += len(read.rejected)
            self._report(tally)
            if read.wait is None or (once and read.wait > 0):
                break
            self._stop.wait(max(read.wait, self._ahead(tally, began)))
        return tally

    def _deliver(self, read: Read) -> bool:
        """Whether all of the read is confirmed by Kafka; False when told to stop before."""
        records = [self._record(post) for post in read.posts]
        records += [as_record(rejection, self._topics) for rejection in read.rejected]
        return _wait(self._producer.send(records), self._stop)

    def _record(self, post: Post) -> Record:
        """The post, or its rejection where no topic takes it: it would stop its connector for ever."""
        key, value = post.id.encode(), encode_post(post)
        if not too_big(key, value):
            return Record(self._topics.posts.name, key, value)
        error = RejectedError(f"its post has {len(value)} bytes, more than a topic takes", "too_big")
        now = post.collected_at or datetime.now(UTC)
        return as_record(
            reject(value, error, stage="collect", origin=post.source, now=now, identity=key), self._topics
        )

    def _ahead(self, tally: Tally, began: float) -> float:
        """Seconds to rest so as not to exceed the rate."""
        if not self._rate:
            return 0.0
        return tally.posts / self._rate - (self._clock() - began)


def _wait(future: Future[None], stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            future.result(timeout=0.2)
        except TimeoutError:
            continue
        return True
    return future.done() and future.exception() is None
