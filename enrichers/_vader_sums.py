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
    theirs = _of_each(valences.tolist(), many[some].tolist())
    marks = [emphasis_of(texts[i]) for i in some.tolist()]
    if len(words) < MANY:
        return zip(some.tolist(), map(summed, theirs, words[some].tolist(), marks), strict=True)
    # By Python's own `sum`: it rounds otherwise from 3.12 on, and VADER with it.
    totals, emphasis = np.array([*map(sum, theirs)], np.float64), np.array(marks, np.float64)
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


def _of_each(valences: list[float], many: list[int]) -> Iterator[list[float]]:
    """So many of the valences each."""
    at = 0
    for count in many:
        yield valences[at : at + count]
        at += count
