"""The chain: a batch of posts in, an event or a rejection for each out; pure, and the same wherever it runs.

Knows the order of the steps and what becomes of a post that one of them cannot take. It does not know
any step, and neither Kafka nor files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from pipeline.core.errors import ConfigError, FatalError, GroundswellError, RejectedError
from pipeline.core.event import Event
from pipeline.core.index_name import index_of
from pipeline.core.post import Post, stub
from pipeline.core.protocols import Enricher
from pipeline.core.reading import Columns, Vocabulary
from pipeline.core.version import version_of

Outcome = Event | RejectedError

_OWN = frozenset(("post", "versions", "index", "version", "processed_at", "schema"))
"""Columns of an event that the chain itself fills."""
_COLUMNS = {field.name: field.default for field in fields(Event) if field.name not in _OWN}
"""Those that steps may fill, with what stands there where none does."""
_GIVEN = ("post", "observed")
"""Columns that are there before the first step."""


class _Batch(Struct):
    """The live posts still under way: their places among all posts, and one list a column."""

    places: list[int]
    columns: Columns

    def keep(self, kept: Sequence[int]) -> None:
        """Leaves out all posts but those at these positions."""
        self.places = [self.places[i] for i in kept]
        columns = {name: [column[i] for i in kept] for name, column in self.columns.items()}
        self.columns = Columns(columns, self.columns.vocabulary)


class _Stamp(Struct, frozen=True):
    """What all events of one call have in common."""

    prefix: str
    now: datetime
    versions: dict[str, str]

    def events(
        self, batch: _Batch, observed: Sequence[datetime], operations: Sequence[int], outcomes: list[Any]
    ) -> None:
        """Puts the events of the live posts, with what the steps found, in their places."""
        now, versions, undated = self.now, self.versions, index_of(self.prefix, None, self.now)
        filled = [batch.columns.get(name, repeat(default)) for name, default in _COLUMNS.items()]
        # Spelt out, as it takes a quarter of the time of keywords from a dict. Some columns are endless.
        rows = zip(*filled)  # noqa: B905
        for i, post, found in zip(batch.places, batch.columns["post"], rows):  # noqa: B905
            language, sentiment, entities, complaint, intent, noise, contacts, customer, routes = found
            created = post.created_at
            try:
                outcomes[i] = Event(
                    post=post,
                    language=language,
                    sentiment=sentiment,
                    entities=entities,
                    complaint=complaint,
                    intent=intent,
                    noise=noise,
                    contacts=contacts,
                    customer=customer,
                    routes=routes,
                    index=index_of(self.prefix, created, post.collected_at or observed[i])
                    if created
                    else undated,
                    version=version_of(post, operations[i]),
                    processed_at=now,
                    versions=versions,
                )
            except OverflowError:
                outcomes[i] = _too_late()

    def stub(self, post: Post, observed: datetime, operation: int) -> Outcome:
        """The event of a deletion."""
        try:
            return Event(
                post=stub(post),
                index=index_of(self.prefix, post.created_at, post.collected_at or observed),
                version=version_of(post, operation),
                processed_at=self.now,
            )
        except OverflowError:
            return _too_late()


def _too_late() -> RejectedError:
    # The calendar ends with the year 9999, and a post may say that it was collected on its last day.
    return RejectedError("collected_at is too near the end of the calendar", "invalid")


class Chain:
    """Enrichers in their order. It remembers words that it met: one thread at a time may use it."""

    def __init__(self, steps: Sequence[tuple[str, Enricher]]) -> None:
        """``steps`` are (name, enricher). ConfigError lists every column that is missing or made twice."""
        _check(steps)
        self._steps = tuple(steps)
        self.vocabulary = Vocabulary()

    @property
    def versions(self) -> dict[str, str]:
        """The version of each step by its name, as each event of a live post carries them.

        Asked anew for each batch: a step that reads what changes has a new one with every change.
        """
        return {name: enricher.version for name, enricher in self._steps}

    @property
    def steps(self) -> tuple[tuple[str, Enricher], ...]:
        """Its enrichers in their order, by name."""
        return self._steps

    @property
    def columns(self) -> frozenset[str]:
        """All columns that a step behind the last would find."""
        return frozenset((*_GIVEN, *(enricher.assigns for _, enricher in self._steps)))

    def process(
        self,
        posts: Sequence[Post],
        observed: Sequence[datetime],
        *,
        prefix: str,
        now: datetime,
        operations: Sequence[int] = (),
    ) -> list[Outcome]:
        """One outcome a post, in order: its event, or the error that it is rejected with.

        ``observed`` is when the log took each post in; its own ``collected_at`` goes before. ``prefix``
        begins the names of indices, ``now`` becomes ``processed_at``, ``operations`` is each post's number
        of re-enrichment or re-linking, 0 for all where none are given. A deletion passes no step: its
        event holds no text and nothing found in one.

        Raises FatalError when a step breaks its contract, or the operations are used up; and whatever
        GroundswellError other than a RejectedError a step raises.
        """
        if len(posts) != len(observed):
            raise FatalError(f"{len(posts)} posts came with {len(observed)} times of observation")
        outcomes: list[Any] = [None] * len(posts)
        live = [i for i, post in enumerate(posts) if not post.deleted]
        given: dict[str, list[Any]] = {
            "post": [posts[i] for i in live],
            "observed": [observed[i] for i in live],
        }
        batch = _Batch(live, Columns(given, self.vocabulary))
        for name, enricher in self._steps:
            batch.columns[enricher.assigns] = _run(name, enricher, batch, outcomes)
        operations = operations or [0] * len(posts)
        stamp = _Stamp(prefix, now, self.versions)
        stamp.events(batch, observed, operations, outcomes)
        for i, post in enumerate(posts):
            if post.deleted:
                outcomes[i] = stamp.stub(post, observed[i], operations[i])
        return outcomes


def _check(steps: Sequence[tuple[str, Enricher]]) -> None:
    maker = dict.fromkeys(_GIVEN, "")
    problems = []
    for name, enricher in steps:
        for column in enricher.requires:
            if column in maker:
                continue
            later = [other for other, step in steps if step.assigns == column and step is not enricher]
            hint = f"move it behind `{later[0]}`" if later else "add a step that assigns it before this one"
            problems.append(
                f"step `{name}` needs the column `{column}`, which no step before it assigns: {hint}"
            )
        column = enricher.assigns
        if column == "post":
            continue  # it rewrites the posts for all steps behind it
        if column not in _COLUMNS:
            problems.append(f"step `{name}` assigns `{column}`, which is no column that a step may fill")
        elif column in maker:
            problems.append(
                f"steps `{maker[column]}` and `{name}` both assign the column `{column}`: keep one of them"
            )
        maker.setdefault(column, name)
    if problems:
        raise ConfigError("\n".join(problems))


def _run(name: str, enricher: Enricher, batch: _Batch, outcomes: list[Any]) -> list[Any]:
    """The step's column for the batch, which loses the posts that the step cannot take."""
    if not batch.places:
        return []
    try:
        return _values(name, enricher, batch.columns, len(batch.places))
    except Exception as error:
        _let_pass(error)
    values, kept = [], []
    for i, place in enumerate(batch.places):
        alone = Columns(
            {column: content[i : i + 1] for column, content in batch.columns.items()},
            batch.columns.vocabulary,
        )
        try:
            values += _values(name, enricher, alone, 1)
            kept.append(i)
        except Exception as error:
            _let_pass(error)
            told = f"{type(error).__name__}: {error}"
            outcomes[place] = RejectedError(f"step `{name}` cannot take this post: {told}", "enricher")
    batch.keep(kept)
    return values


def _values(name: str, enricher: Enricher, columns: Mapping[str, Sequence[Any]], posts: int) -> list[Any]:
    values = list(enricher.enrich(columns))
    if len(values) != posts:
        raise FatalError(
            f"step `{name}` returned {len(values)} values for {posts} posts: it is broken, remove or mend it"
        )
    return values


def _let_pass(error: Exception) -> None:
    """Raises again what is no fault of a post."""
    if isinstance(error, GroundswellError) and not isinstance(error, RejectedError):
        raise error
