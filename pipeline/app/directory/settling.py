"""When everything that was on its way at a moment has come to rest in the index: from offsets alone.

A post that enrich had in hand when a customer changed may have been linked by what was known before. It
can be looked at again once enrich has confirmed what it had in hand, and index what was published by then.
"""

from __future__ import annotations

from collections.abc import Mapping

from kafka.admin import KafkaAdminClient

from pipeline.app.brokers import Brokers
from pipeline.app.offsets import Span, spans
from pipeline.app.site import group
from pipeline.app.topics import Topics, admin_client
from pipeline.core.errors import RetryableError
from pipeline.core.settings import Settings

Goals = Mapping[int, int]
"""Partition to the offset that is to be confirmed."""


def in_hand(progress: Mapping[int, Span], most: int) -> Goals:
    """Behind all records that a role may have in hand: ``most`` unconfirmed ones a partition."""
    return {number: min(span.after, span.committed + most) for number, span in progress.items()}


def published(progress: Mapping[int, Span]) -> Goals:
    """Behind all records that there are."""
    return {number: span.after for number, span in progress.items()}


def reached(progress: Mapping[int, Span], goals: Goals) -> bool:
    """Whether all of the goals are confirmed."""
    return all(progress[number].committed >= goal for number, goal in goals.items() if number in progress)


class Settling:
    """One wait, begun when it is made; ask :meth:`over` now and then."""

    def __init__(self, brokers: Brokers, settings: Settings, topics: Topics) -> None:
        self._brokers = brokers
        self._settings = settings
        self._topics = topics
        self._enrich: Goals | None = None
        self._index: Goals | None = None
        self._admin: KafkaAdminClient | None = None

    def over(self) -> bool:
        """Whether all has come to rest. False too while Kafka is away."""
        try:
            if self._admin is None:
                self._admin = admin_client(self._brokers)
            return self._over(self._admin)
        except RetryableError:
            self.close()
            return False

    def _over(self, admin: KafkaAdminClient) -> bool:
        if self._index is None:
            progress = spans(admin, self._topics.posts.name, group(self._settings, "enrich"))
            if self._enrich is None:
                engine = self._settings.engine
                self._enrich = in_hand(progress, engine.batch_posts * (engine.in_flight_batches + 1))
            if not reached(progress, self._enrich):
                return False
        progress = spans(admin, self._topics.events.name, group(self._settings, "index"))
        if self._index is None:
            self._index = published(progress)
        return reached(progress, self._index)

    @property
    def waits_for(self) -> str:
        """The role that has not confirmed yet what it must."""
        return "enrich" if self._index is None else "index"

    def close(self) -> None:
        """Lets go of the connection; may be called twice."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
