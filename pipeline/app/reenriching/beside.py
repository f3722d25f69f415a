"""Live traffic beside a re-enrichment: how far the roles are, and when the next posts may be sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from kafka.admin import KafkaAdminClient

from pipeline.app.brokers import Brokers
from pipeline.app.offsets import Span, spans
from pipeline.app.site import group
from pipeline.app.topics import Topics, admin_client
from pipeline.core.errors import RetryableError
from pipeline.core.pace import BEHIND_SECONDS, LATE_SECONDS, Distance, Pace
from pipeline.core.settings import Settings

_LOOK_SECONDS = 1.0
# Before it is worth a word that nothing comes back.
_TELL_SECONDS = 10.0


class Beside:
    """Looks at the roles once a second at most. ``tell`` hears whom it waits for, each time once."""

    def __init__(
        self, brokers: Brokers, settings: Settings, topics: Topics, pace: Pace, tell: Callable[[str], None]
    ) -> None:
        self.pace = pace
        self.tell = tell
        self._brokers = brokers
        self._settings = settings
        self._topics = topics
        self._distance = Distance()
        self._looked = 0.0
        self._admin: KafkaAdminClient | None = None

    def wait(self) -> None:
        """Returns when the next portion may be sent: the rate allows it, and the index keeps up."""
        told = False
        while True:
            now = time.monotonic()
            if rest := self.pace.wait(now):
                time.sleep(rest)
                continue
            if now - self._looked < _LOOK_SECONDS:
                return
            self._looked = now
            progress = self.progress("index", self._topics.events.name)
            ends = {number: span.after for number, span in progress.items()}
            confirmed = {number: span.committed for number, span in progress.items()}
            behind = self._distance.look(now, ends, confirmed)
            if behind > LATE_SECONDS:
                self.pace.slow_down()
            if behind <= BEHIND_SECONDS:
                return
            if not told:
                self.tell("waits for the role index, which is behind")
                told = True
            time.sleep(_LOOK_SECONDS)

    def progress(self, role: str, topic: str) -> Mapping[int, Span]:
        """How far a role is in a topic; nothing is known while Kafka is away."""
        try:
            if self._admin is None:
                self._admin = admin_client(self._brokers)
            return spans(self._admin, topic, group(self._settings, role))
        except RetryableError:
            self.close()
            return {}

    def confirmation(self, partition: int) -> Confirmation:
        """A wait for what was sent into a partition of the posts topic just now."""
        return Confirmation(
            lambda: self.progress("enrich", self._topics.posts.name).get(partition), self.tell
        )

    def close(self) -> None:
        """Lets go of the connection; may be called twice."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None


class Confirmation:
    """Whether enrich has confirmed what stood in a partition when this was first asked, after a second."""

    def __init__(self, look: Callable[[], Span | None], tell: Callable[[str], None]) -> None:
        self._look = look
        self._tell = tell
        self._goal: int | None = None
        self._next = time.monotonic() + _LOOK_SECONDS
        self._tell_at = time.monotonic() + _TELL_SECONDS

    def over(self) -> bool:
        """Asks Kafka once a second at most; what enrich does in less needs no asking."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _LOOK_SECONDS
        if now > self._tell_at:
            self._tell("waits for the role enrich, which has not confirmed what was sent")
            self._tell_at = float("inf")
        span = self._look()
        if span is None:
            return False
        if self._goal is None:
            self._goal = span.after
        return span.committed >= self._goal
