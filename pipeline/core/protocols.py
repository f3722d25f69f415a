"""The three kinds of parts and what each owes the runtime: connectors read, enrichers judge, sinks write.

A part is a module named after its kind, with a ``SETTINGS`` struct and a ``build(settings)``; see
CONTRIBUTING. This module knows only their shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from pipeline.core.event import Event
from pipeline.core.post import Post
from pipeline.core.rejection import Rejection

Cursor = dict[str, Any]
"""Where a connector stands: a small JSON object that only its connector understands."""


class Limit(Struct, frozen=True):
    """How much a platform still lets us ask: ``left`` of ``total``, anew in ``resets`` seconds; None where it
    does not say."""

    name: str
    left: int | None = None
    total: int | None = None
    resets: float | None = None


class Read(Struct, frozen=True, kw_only=True):
    """One bounded read. ``cursor`` is the position after all of it, to be kept only once every post
    of it is confirmed. ``wait`` is how many seconds to rest before the next read: 0 while more is at
    hand, above it once the source was read up to now; None means that it has ended for good. ``limits``
    are those that the platform told of."""

    posts: Sequence[Post]
    rejected: Sequence[Rejection] = ()
    cursor: Cursor
    wait: float | None = 0.0
    limits: Sequence[Limit] = ()


class Connector(Protocol):
    """Reads one source from a cursor."""

    def read(self, cursor: Cursor | None) -> Read:
        """The next posts after ``cursor``, or from the start where it is None; returns soon, even if empty.

        Raises RetryableError (rate limits, outages), ConfigError (credentials, names), FatalError.
        """
        ...

    def close(self) -> None:
        """Lets go of files and sockets; may be called twice."""
        ...


class Enricher(Protocol):
    """Judges whole batches, column by column, and touches nothing outside its arguments.

    ``requires`` names the columns it reads (``post`` first of all), ``assigns`` the one it makes; both
    are fields of Event, but for ``observed``, the times at which the log took the posts in. The names
    may follow from the step's settings. ``version`` changes whenever the same input may give another result.

    The words of the posts' texts are cut once for all steps: see `pipeline.core.reading.reading_of`.

    A step that assigns ``post`` gives each post anew for all steps behind it and for the event: with
    another ``direction``, say, but with the same id and times.

    A step whose version also tells what it looked at may have ``is_current(version)``: whether a result of
    that version needs no re-enrichment.
    """

    @property
    def requires(self) -> tuple[str, ...]: ...

    assigns: ClassVar[str]

    @property
    def version(self) -> str: ...

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        """One value a post, in order. All posts are live; deletions are never enriched.

        Raises whatever it must: the runtime then tries the posts one by one and rejects the culprit.
        """
        ...


class Sink(Protocol):
    """Takes events to where they are read."""

    def write(self, events: Sequence[Event]) -> Sequence[str | None]:
        """Returns once each event is safely there or refused: None for the former, the reason for the latter.

        Raises RetryableError when the other side cannot take any now; the same call may be repeated.
        """
        ...

    def catch_up(self) -> None:
        """Has later writes heed what others wrote until now; call it before the first of posts that somebody
        else may have written a moment ago. Raises RetryableError as `write` does."""
        ...
