"""VADER's sums over the valences of many texts at once, equal to the last bit to those of `_vader.summed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from enrichers._codes import MANY, Numbers, Places, sums_of
from enrichers._rounding import all_rounded
from enrichers._vader import ALPHA, Score, emphasis_of, summed


def scores_of(
    valences: Numbers, owners: Places, words: Places, texts: Sequence[str]
) -> Iterator[tuple[int, Score]]:
    """The number and the scores of each text with a valence. ``owners`` are the numbers of the texts that the
    valences are of, ``words`` how many of these each text has."""
    if not len(owners):
        return iter(())
    many = np.bincount(owners, minlength=len(words))
    some = np.flatnonzero(many)
    if len(words) < MANY:
        ends = many.cumsum().tolist()
        told = ((i, valences[ends[i] - many[i] : ends[i]].tolist()) for i in some.tolist())
        return ((i, summed(theirs, int(words[i]), emphasis_of(texts[i]))) for i, theirs in told)
    emphasis = np.array([emphasis_of(texts[i]) for i in some.tolist()], np.float64)
    totals = _totals(valences.tolist(), many[some].tolist())
    totals += np.sign(totals) * emphasis
    # One more for each, since a neutral word counts one. All are added from left to right.
    positive = sums_of(owners, np.where(valences > 0, valences + 1, 0), len(words))[some]
    negative = sums_of(owners, np.where(valences < 0, valences - 1, 0), len(words))[some]
    neutral = (words - np.bincount(owners, valences != 0, len(words)))[some]
    more, less = positive > -negative, positive < -negative
    positive += more * emphasis
    negative -= less * emphasis
    whole = positive - negative + neutral
    scores = map(
        Score,
        all_rounded(totals / np.sqrt(totals * totals + ALPHA), 4).tolist(),
        all_rounded(positive / whole, 3).tolist(),
        all_rounded(neutral / whole, 3).tolist(),
        all_rounded(-negative / whole, 3).tolist(),
    )
    return zip(some.tolist(), scores, strict=True)


def _totals(valences: list[float], many: list[int]) -> Numbers:
    """The sums of so many of the valences each, by Python's own `sum`: it rounds otherwise from 3.12 on, and
    VADER with it."""
    sums, at = [], 0
    for count in many:
        sums.append(sum(valences[at : at + count]))
        at += count
    return np.array(sums, np.float64)
