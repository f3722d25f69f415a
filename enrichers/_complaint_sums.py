"""The judgements of many texts at once, equal to the last bit to those that `_complaint_rules` gives each.

All is added and multiplied in the order of the cues in the text, as there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enrichers import _complaint_rules as rules
from enrichers._codes import MANY, Numbers, Places, sums_of
from enrichers._complaint_rules import CATEGORIES, FAMILIES, Cue
from enrichers._rounding import all_rounded

Flags = NDArray[np.bool_]

_REMEMBERED = 20_000
"""Rows of cues whose opinion is remembered, at most."""

_FAMILIES = list(FAMILIES)
_WEIGHTS = np.array(
    [
        [
            [(rules.part_of(name, strong, twice) or (name, 0.0))[1] for name in _FAMILIES]
            for twice in (False, True)
        ]
        for strong in (False, True)
    ]
)
"""What a family adds, by whether a strong one is beside it, and whether several different cues of it are."""
_CALM = np.array([1 - family.urgency for family in FAMILIES.values()])
_TOPIC = np.array([family.topic for family in FAMILIES.values()])
_STRONG = np.array([family.weight >= rules.STRONG for family in FAMILIES.values()])
NAMES = (*CATEGORIES, rules.OTHER)
"""Of categories by their numbers."""
_STARS = np.array([0.0, rules.STARS, rules.STARS, 0.0, -rules.STARS, -rules.STARS])


class Opinions(NamedTuple):
    """What the cues of each text say by themselves: see `_complaint_rules.Opinion`."""

    totals: Numbers
    strong: Flags
    categories: Places
    urgencies: Numbers


class Shapes(NamedTuple):
    """What counts beside the words, of each text: see `_complaint_rules.Shape`."""

    compounds: Sequence[float]
    addressed: Sequence[bool]
    asks: Sequence[bool]
    links: Sequence[bool]
    articles: Sequence[bool]
    stars: Sequence[int]


class Weighing:
    """Weighs the cues of one table of words."""

    def __init__(self, cues: Sequence[Cue]) -> None:
        phrases: dict[tuple[str, ...], int] = {}
        self._families = np.array([_FAMILIES.index(cue.family) for cue in cues], np.intp)
        self._phrases = np.array([phrases.setdefault(cue.words, len(phrases)) for cue in cues], np.intp)
        self._topics = np.array([NAMES.index(cue.category or rules.OTHER) for cue in cues], np.intp)
        self._most = len(phrases)
        self._cues = cues
        self._known: dict[tuple[int, ...], rules.Opinion] = {}

    def judgements(
        self, cues: Places, owners: Places, shapes: Shapes
    ) -> tuple[list[float], list[str], list[float]]:
        """Probability, category and urgency of texts of these shapes, of which ``owners`` have the cues, from
        left to right."""
        texts = len(shapes.links)
        if texts < MANY:
            singly = self._one_by_one(cues.tolist(), owners.tolist(), texts)
            rows = zip(singly, zip(*shapes, strict=True), strict=True)
            shares = [rules.probability(one, *shape) for one, shape in rows]
            return shares, [one.category for one in singly], [one.urgency for one in singly]
        opinions = self._all_at_once(cues, owners, texts)
        categories = [NAMES[number] for number in opinions.categories.tolist()]
        return _probabilities(opinions, shapes).tolist(), categories, opinions.urgencies.tolist()

    def _all_at_once(self, cues: Places, owners: Places, texts: int) -> Opinions:
        families, own = self._families[cues], owners * len(_FAMILIES)
        firsts = np.unique(own + families, return_index=True)[1]
        order = np.argsort(firsts)
        firsts = firsts[order]
        different = np.unique((own + families) * self._most + self._phrases[cues]) // self._most
        twice = (np.unique(different, return_counts=True)[1] > 1)[order]
        theirs, families = owners[firsts], families[firsts]
        strong = np.zeros(texts, np.bool_)
        strong[theirs[_STRONG[families]]] = True
        weights = _WEIGHTS[strong[theirs].astype(np.intp), twice.astype(np.intp), families]
        priors = np.full(texts, rules.PRIOR)
        both = np.concatenate((np.arange(texts), theirs)), np.concatenate((priors, weights))
        calm = np.ones(texts)
        np.multiply.at(calm, theirs, _CALM[families])
        return Opinions(
            sums_of(*both, texts),
            strong,
            self._categories(cues, owners, texts),
            all_rounded((1 - calm) * np.where(strong, 1.0, rules.CALM), 2),
        )

    def _one_by_one(self, cues: list[int], owners: list[int], texts: int) -> list[rules.Opinion]:
        theirs: list[list[int]] = [[] for _ in range(texts)]
        for cue, owner in zip(cues, owners, strict=True):
            theirs[owner].append(cue)
        return [self._opinion(tuple(some)) if some else rules.NO_OPINION for some in theirs]

    def _opinion(self, cues: tuple[int, ...]) -> rules.Opinion:
        """That of one text, remembered."""
        known = self._known.get(cues)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[cues] = rules.opinion_of([self._cues[cue] for cue in cues])
        return known

    def _categories(self, cues: Places, owners: Places, texts: int) -> Places:
        """The numbers of the categories with the most worth of topic, each family counted once for it."""
        topics, families = self._topics[cues], self._families[cues]
        many = len(CATEGORIES)
        kinds = (owners * len(_FAMILIES) + families) * len(NAMES) + topics
        firsts = np.sort(np.unique(kinds, return_index=True)[1])
        firsts = firsts[topics[firsts] < many]
        theirs = owners[firsts] * many + topics[firsts]
        worth = sums_of(theirs, _TOPIC[families[firsts]], texts * many).reshape(texts, many)
        return np.where(worth.any(axis=1), worth.argmax(axis=1), many)


def _probabilities(opinions: Opinions, shapes: Shapes) -> Numbers:
    """Those of all texts, as `_complaint_rules.probability` has them."""
    totals, strong = opinions.totals.copy(), opinions.strong
    compounds = np.array(shapes.compounds, np.float64)
    soft = np.where(strong, rules.SOFTENED, 1.0)
    totals += np.where(compounds < 0, -compounds * rules.NEGATIVE, compounds * rules.POSITIVE * soft)
    totals += np.array(shapes.addressed, np.bool_) * rules.ADDRESSED
    totals += (np.array(shapes.asks, np.bool_) & ~strong) * rules.QUESTION
    totals += np.array(shapes.links, np.bool_) * rules.LINK
    totals += np.array(shapes.articles, np.bool_) * rules.ARTICLE
    totals += _STARS[np.array(shapes.stars, np.intp)]
    # numpy's own `exp` may differ in the last bit.
    odds = np.array([math.exp(-total) for total in totals.tolist()], np.float64)
    return all_rounded(1 / (1 + odds), 4)
