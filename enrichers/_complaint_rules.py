"""The weights of the complaint score: what each family of cues is worth, and how they are added up.

All weights are log-odds set by hand from what complaints are like; none is fitted to any data. The words
themselves are elsewhere, one table a language. docs/complaint.md explains this page to its users.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from enrichers._rounding import rounded_4

CATEGORIES = (
    "outage",
    "billing",
    "delivery",
    "quality",
    "service",
    "account",
    "cancellation",
    "price",
)
"""What a complaint may be about; of two with equal weight the first wins. Where nothing says: ``OTHER``."""
OTHER = "other"

Negation = Literal["ignored", "cancels", "required"]
"""What a "not" before the words does: nothing, it takes the cue away, or there is no cue without it."""


class Family(Struct, frozen=True):
    """Cues that say the same. ``weight`` is in log-odds, ``urgency`` a share of 0 to 1.

    ``topic`` is what the words are worth when the category is chosen.
    """

    weight: float
    urgency: float = 0.0
    topic: float = 1.0
    negation: Negation = "ignored"


FAMILIES: Mapping[str, Family] = {
    # For a complaint: something is wrong with what was bought.
    "failure": Family(1.7, urgency=0.15, topic=2.0, negation="cancels"),
    "defect": Family(1.5, urgency=0.05, topic=2.0, negation="cancels"),
    "waiting": Family(1.5, urgency=0.1, topic=1.5),
    "service": Family(1.6, urgency=0.05, topic=1.6, negation="cancels"),
    "money": Family(1.5, urgency=0.1, topic=2.0),
    "price": Family(1.4, topic=2.0),
    "problem": Family(1.4, negation="cancels"),
    # What the author demands or threatens.
    "demand": Family(1.2),
    "leaving": Family(1.4, urgency=0.2, topic=1.4),
    "legal": Family(1.3, urgency=0.35),
    # How the author judges and feels.
    "verdict": Family(1.4, urgency=0.05, negation="cancels"),
    "sarcasm": Family(1.6),
    "anger": Family(0.6, urgency=0.1),
    # Weak by themselves: what complaints are told with.
    "repeated": Family(0.7, urgency=0.2),
    "duration": Family(0.5),
    "why": Family(0.5),
    "help": Family(0.4),
    "mine": Family(0.7),
    "yours": Family(0.4),
    "topic": Family(0.3),
    # Against: these words come with other kinds of posts.
    "thanks": Family(-0.9, negation="cancels"),
    "praise": Family(-0.8, negation="cancels"),
    "resolved": Family(-1.2, negation="cancels"),
    "offer": Family(-1.5),
    "chat": Family(-0.6),
    # Urgent, whether or not the author complains.
    "safety": Family(0.6, urgency=0.6),
    "vulnerable": Family(0.3, urgency=0.45),
    "standstill": Family(0.5, urgency=0.4),
    "deadline": Family(0.0, urgency=0.25),
    "hardship": Family(0.0, urgency=0.3),
    # A longer phrase that takes the place of a cue within it, and says nothing.
    "nothing": Family(0.0),
}

PRIOR = -1.6
"""Of a post without any sign."""
NEGATIVE = 1.8
"""Times the compound where that is negative."""
POSITIVE = -1.2
"""Times the compound where that is positive."""
ADDRESSED = 0.5
"""The post begins with a mention: it speaks to somebody."""
QUESTION = -0.8
"""The post asks, and no cue speaks for a complaint."""
LINK = -0.5
"""The post points elsewhere: news and offers do."""
ARTICLE = -1.5
"""News reports complaints; it makes none."""
STARS = 1.8
"""A review of one or two stars; as much against for four or five."""

SECOND = 0.4
"""What a second, different cue of a family is worth of the first; further ones are worth nothing."""
SOFTENED = 0.35
"""What thanks, praise and a positive sentiment are worth beside a strong cue: courtesy, or sarcasm."""
STRONG = 1.0
"""The weight from which a cue is strong."""
CALM = 0.5
"""What urgency is worth where no strong cue speaks for a complaint."""

_SOFT = frozenset(("thanks", "praise", "chat"))


class Cue(NamedTuple):
    """One row of a table of words. ``category`` is empty where the words tell none."""

    words: tuple[str, ...]
    family: str
    category: str
    negation: Negation


class Shape(NamedTuple):
    """What counts beside the words. ``compound`` is -1 to 1, 0 where there is no sentiment."""

    compound: float = 0.0
    addressed: bool = False
    asks: bool = False
    link: bool = False
    article: bool = False
    stars: int = 0


class Verdict(NamedTuple):
    """``parts`` are the addends of the log-odds by name, in order; they give ``probability``."""

    probability: float
    category: str
    urgency: float
    parts: tuple[tuple[str, float], ...]


_STRONG_FAMILIES = frozenset(name for name, family in FAMILIES.items() if family.weight >= STRONG)
_RANK = {name: -place for place, name in enumerate(CATEGORIES)}


def part_of(family: str, strong: bool, twice: bool) -> tuple[str, float] | None:
    """What cues of a family add, beside a strong one or not, if several different ones are there or not."""
    weight = FAMILIES[family].weight * (1 + SECOND if twice else 1)
    return (family, weight * SOFTENED if strong and family in _SOFT else weight) if weight else None


_PRIOR = ("prior", PRIOR)
_CALM = {name: 1 - family.urgency for name, family in FAMILIES.items()}
_PARTS = {
    (strong, twice): {family: part_of(family, strong, twice) for family in FAMILIES}
    for strong in (False, True)
    for twice in (False, True)
}
"""What the cues of each family add, beside a strong one or not, and whether several different ones of it.
Made once, for there are thousands of opinions."""


class Opinion(NamedTuple):
    """What cues say by themselves: the parts of a verdict that are theirs, and the rest of it."""

    parts: tuple[tuple[str, float], ...]
    strong: bool
    category: str
    urgency: float
    total: float
    """The sum of the parts."""


NO_OPINION = Opinion((_PRIOR,), False, OTHER, 0.0, PRIOR)
"""Of a text without cues."""


def weigh(cues: Sequence[Cue], shape: Shape) -> Verdict:
    """The judgement of a text with these cues. Raises nothing; time is linear in the cues.

    ``probability`` is 1 / (1 + exp(-sum of the parts)), rounded to 4 places; ``urgency`` is
    1 - product of (1 - u) over the families found, rounded to 2. ``category`` is that with the most worth of
    topic, each family counted once for it; `other` where no cue tells one.
    """
    return concluded(opinion_of(cues), shape)


def opinion_of(cues: Sequence[Cue]) -> Opinion:
    """The part of the judgement that hangs on the cues alone."""
    if not cues:
        return NO_OPINION
    parts = [_PRIOR]
    calm = 1.0
    found: dict[str, tuple[str, ...]] = {}
    twice: set[str] = set()
    topics: dict[str, float] = {}
    told: set[tuple[str, str]] = set()
    for words, family, topic, _ in cues:
        if found.setdefault(family, words) != words:
            twice.add(family)
        if topic and (family, topic) not in told:
            told.add((family, topic))
            topics[topic] = topics.get(topic, 0.0) + FAMILIES[family].topic
    strong = not _STRONG_FAMILIES.isdisjoint(found)
    once, several = _PARTS[strong, False], _PARTS[strong, True]
    for family in found:
        calm *= _CALM[family]
        if part := several[family] if family in twice else once[family]:
            parts.append(part)
    if len(topics) > 1:
        category = max(topics, key=lambda name: (topics[name], _RANK[name]))
    else:
        category = next(iter(topics), OTHER)
    urgency = 1 - calm if strong else (1 - calm) * CALM
    return Opinion(tuple(parts), strong, category, round(urgency, 2) if urgency else 0.0, _added(0.0, parts))


def concluded(opinion: Opinion, shape: Shape) -> Verdict:
    """The judgement of a text of this shape whose cues say that."""
    parts, strong, category, urgency, _ = opinion
    compound, addressed, asks, link, article, stars = shape
    if compound < 0:
        parts = (*parts, ("sentiment", -compound * NEGATIVE))
    elif compound > 0:
        parts = (*parts, ("sentiment", compound * POSITIVE * (SOFTENED if strong else 1)))
    parts += _remaining(addressed, asks and not strong, link, article, stars)
    return Verdict(probability(opinion, *shape), category, urgency, parts)


def probability(  # noqa: PLR0913, PLR0917 - a Shape, unpacked, as one a post would take as long as the sum
    opinion: Opinion, compound: float, addressed: bool, asks: bool, link: bool, article: bool, stars: int
) -> float:
    """That of `concluded`, without the parts."""
    total = opinion.total
    if compound < 0:
        total += -compound * NEGATIVE
    elif compound > 0:
        total += compound * POSITIVE * (SOFTENED if opinion.strong else 1)
    for _, value in _remaining(addressed, asks and not opinion.strong, link, article, stars):
        total += value
    return rounded_4(1 / (1 + math.exp(-total)))


def _added(total: float, parts: Sequence[tuple[str, float]]) -> float:
    # Not by `sum`, which rounds otherwise from Python 3.12 on.
    for _, value in parts:
        total += value
    return total


def shares(cues: Sequence[Cue], verdict: Verdict) -> list[float]:
    """What each of the cues added to the log-odds of their verdict; one value a cue, in order."""
    parts = dict(verdict.parts)
    kinds: dict[str, set[tuple[str, ...]]] = {}
    for cue in cues:
        kinds.setdefault(cue.family, set()).add(cue.words)
    met: dict[str, list[tuple[str, ...]]] = {}
    given = []
    for words, family, _, _ in cues:
        before = met.setdefault(family, [])
        first = parts.get(family, 0.0) / (1 + SECOND if len(kinds[family]) > 1 else 1)
        given.append(0.0 if words in before else (first, first * SECOND, 0.0)[min(len(before), 2)])
        if words not in before:
            before.append(words)
    return given


@cache
def _remaining(
    addressed: bool, asks: bool, link: bool, article: bool, stars: int
) -> tuple[tuple[str, float], ...]:
    """The parts that the shape adds behind the sentiment."""
    parts = []
    if addressed:
        parts.append(("addressed", ADDRESSED))
    if asks:
        parts.append(("question", QUESTION))
    if link:
        parts.append(("link", LINK))
    if article:
        parts.append(("article", ARTICLE))
    if stars:
        parts.append(("stars", STARS if stars <= 2 else 0.0 if stars == 3 else -STARS))
    return tuple(parts)


def digest(tables: object) -> str:
    """Eight characters that change with any weight here or any row of the tables of words."""
    weights = (
        [(name, msgspec.structs.astuple(family)) for name, family in FAMILIES.items()],
        (CATEGORIES, PRIOR, NEGATIVE, POSITIVE, ADDRESSED, QUESTION, LINK, ARTICLE, STARS),
        (SECOND, SOFTENED, STRONG, CALM, sorted(_SOFT)),
    )
    return hashlib.sha256(repr((weights, tables)).encode()).hexdigest()[:8]
