"""Why a post of the index is what it is: pure reckoning over its event, with the steps of today beside it.

What is stored is what counts; where the steps of today would say something else, both are told. The
customer's part is never reckoned anew here: it depends on the directory, and re-linking keeps it fresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct

from enrichers.complaint import ComplaintEnricher
from enrichers.complaint import Explanation as ComplaintTold
from enrichers.language import LanguageEnricher
from enrichers.route import RouteEnricher
from enrichers.sentiment import SentimentEnricher
from pipeline.core.event import Complaint, Contact, Entity, Event, Language, Route, Sentiment
from pipeline.core.post import Post
from pipeline.core.protocols import Enricher
from pipeline.core.routing import Way, columns_of

LINKING = "customer"
"""The column that is left as it is stored."""

_Kind = TypeVar("_Kind")
Steps = Sequence[tuple[str, Enricher]]


class Word(Struct, frozen=True):
    """A word that moved the sentiment; ``emoji`` is what it was written as, where that is one.

    ``changes`` are (cause, by which words, before, after), see `enrichers._vader_trace`.
    """

    word: str
    lexicon: float
    valence: float
    changes: tuple[tuple[str, str, float, float], ...] = ()
    emoji: str = ""


class Words(Struct, frozen=True):
    """``emphasis`` is what marks of exclamation and question add. ``compound`` is by today's step."""

    words: tuple[Word, ...]
    emphasis: float
    compound: float


class Named(Struct, frozen=True):
    """An entity and what named it: alias, handle, hashtag, or the platform's own list."""

    entity: Entity
    by: str


class StepVersion(Struct, frozen=True):
    """A step as it was for this event and as it is today; empty where it did not run, or does not."""

    step: str
    stored: str
    today: str

    @property
    def differs(self) -> bool:
        """Whether the same post may come out otherwise today."""
        return self.stored != self.today


class Difference(Struct, frozen=True):
    """What a step of today makes of the post, where that is not what is stored."""

    step: str
    stored: str
    today: str


class Judged(Struct, frozen=True):
    """All that follows from the event and the steps. Of a deletion nothing does."""

    language_by: str = ""
    sentiment: Words | None = None
    entities: tuple[Named, ...] = ()
    complaint: ComplaintTold | None = None
    way: Way | None = None
    versions: tuple[StepVersion, ...] = ()
    today: tuple[Difference, ...] = ()
    problems: tuple[str, ...] = ()


def judged(event: Event, steps: Steps) -> Judged:
    """The reasons of a live event by the ``steps`` of today, of which any may be missing."""
    if event.post.deleted:
        return Judged()
    columns = columns_of(event)
    now, problems = _today(columns, steps)
    parts = dict(steps)
    route = _the(parts, RouteEnricher)
    return Judged(
        _language_by(event, _the(parts, LanguageEnricher)),
        _words(event, _the(parts, SentimentEnricher)),
        tuple(Named(entity, named_by(entity)) for entity in event.entities),
        _complaint(event, _the(parts, ComplaintEnricher)),
        route.router.explain(columns) if route and route.router else None,
        versions_of(event.versions, steps),
        tuple(_differences(columns, now, steps)),
        tuple(problems),
    )


def _the(parts: Mapping[str, object], kind: type[_Kind]) -> _Kind | None:
    return next((step for step in parts.values() if isinstance(step, kind)), None)


def _today(columns: Mapping[str, Any], steps: Steps) -> tuple[dict[str, Any], list[str]]:
    """The columns as today's chain makes them of the same post, and the steps that cannot take it."""
    now, problems = dict(columns), []
    for name, step in steps:
        if step.assigns == LINKING:
            continue
        try:
            (now[step.assigns],) = step.enrich({column: [now[column]] for column in step.requires})
        except Exception as error:  # whatever it is, the stored event is to be explained
            problems.append(f"the step `{name}` of today cannot take this post: {error}")
    return now, problems


def _language_by(event: Event, step: LanguageEnricher | None) -> str:
    if event.language is None:
        return ""
    if step is not None and step.decided_by(event.post) == "platform":
        return "said by the platform"
    if event.language.code == "und":
        return "cannot be told from the text"
    return "read in the text by CLD2; the confidence is the share of the text in it"


def _words(event: Event, step: SentimentEnricher | None) -> Words | None:
    if step is None or event.sentiment is None:
        return None
    told = step.explain(event.post, event.language)
    if told is None:
        return None
    words = (
        Word(
            hit.word,
            hit.lexicon,
            hit.valence,
            tuple((one.cause, one.by, one.before, one.after) for one in hit.changes),
            step.emoji_of(event.post.text, hit.word),
        )
        for hit in told.hits
    )
    return Words(tuple(words), told.emphasis, told.compound)


def _complaint(event: Event, step: ComplaintEnricher | None) -> ComplaintTold | None:
    return None if step is None else step.explain(event.post, event.language, event.sentiment)


def named_by(entity: Entity) -> str:
    """What named an entity, by the words that it was found in."""
    where = "handle" if entity.text[:1] in "@＠" else "hashtag" if entity.text[:1] in "#＃" else "alias"
    if entity.start == entity.end == 0:
        return f"{where} in the platform's own list"
    return where


def versions_of(stored: Mapping[str, str], steps: Steps) -> tuple[StepVersion, ...]:
    """The steps of the event and of today, in the order of today; those that are gone come last.

    That which links to customers has a new version with each of them, and is not held against today's.
    """
    today = {
        name: stored[name] if step.assigns == LINKING and name in stored else step.version
        for name, step in steps
    }
    names = [*today, *(name for name in stored if name not in today)]
    return tuple(StepVersion(name, stored.get(name, ""), today.get(name, "")) for name in names)


def _differences(stored: Mapping[str, Any], now: Mapping[str, Any], steps: Steps) -> Iterable[Difference]:
    for name, step in steps:
        column = step.assigns
        if column != LINKING:
            was, would = (_short(column, one[column]) for one in (stored, now))
            if was != would:
                yield Difference(name, was, would)


def _short(column: str, value: Any) -> str:
    """A finding in a few words: what people and rules go by, to the last digit that is stored."""
    if value is None or value == ():
        return "nothing"
    if isinstance(value, Post):
        return value.direction
    if isinstance(value, Language):
        return f"{value.code}, {value.confidence:g}"
    if isinstance(value, Sentiment):
        return f"{value.label}, {value.compound:g}"
    if isinstance(value, Complaint):
        says = f"a complaint about {value.category}" if value.is_complaint else "no complaint"
        return f"{says}, probability {value.probability:g}, urgency {value.urgency:g}"
    parts = [_short_part(part) for part in value] if isinstance(value, tuple) else [str(value)]
    return ", ".join(parts) or column


def _short_part(part: Any) -> str:
    if isinstance(part, Entity):
        return f"{part.id} at {part.start}-{part.end}"
    if isinstance(part, Route):
        return f"{part.queue} (priority {part.priority}, rule {part.rule})"
    if isinstance(part, Contact):
        return f"{part.kind} in {part.place}"
    return str(part)


class Moment(Struct, frozen=True):
    """A stage that the post reached; ``delay`` in seconds after the stage ``after``, None without one."""

    stage: str
    at: datetime
    after: str = ""
    delay: float | None = None


_AFTER = {
    "edited": ("created",),
    "collected": ("edited", "created"),
    "processed": ("collected", "edited", "created"),
    "case opened": ("processed",),
    "answer due": ("case opened",),
    "first response": ("created",),
    "resolved": ("case opened",),
}


def timeline(times: Mapping[str, datetime | None]) -> tuple[Moment, ...]:
    """The stages with a time, in the given order, each with its delay behind the stage that it waited for."""
    found = []
    for stage, at in times.items():
        if at is None:
            continue
        after = next((one for one in _AFTER.get(stage, ()) if times.get(one)), "")
        start = times.get(after)
        found.append(Moment(stage, at, after, (at - start).total_seconds() if start else None))
    return tuple(found)
