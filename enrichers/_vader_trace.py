"""How a text came to its score by VADER: each word with a valence, what changed it, and the sum.

It takes notes of what `_vader` does and does nothing by itself, so it cannot tell another story: the
valences it lists add up to the very compound that was scored.
"""

from __future__ import annotations

import math

from msgspec import Struct

from enrichers._vader import ALPHA, BOOSTER, Score, Vader, Window

BUT, DAMPENER, JOINED = "but", "dampener", "joined"


class Change(Struct, frozen=True):
    """One step: ``by`` are the words that did it; ``cause`` is negation, booster, dampener, capitals,
    never so, phrase, but, or joined: a "no" that counts through the word after it."""

    cause: str
    by: str
    before: float
    after: float


class Hit(Struct, frozen=True):
    """A word with a valence: as typed, as the lexicon has it (-4 to 4), and as it counted."""

    word: str
    lexicon: float
    valence: float
    changes: tuple[Change, ...] = ()


class Trace(Struct, frozen=True):
    """``emphasis`` is what exclamation and question marks add, with the sign of the sum of the hits."""

    hits: tuple[Hit, ...]
    emphasis: float
    score: Score

    @property
    def compound(self) -> float:
        """The compound by what is told here: the sum of the hits and the emphasis, brought into -1 to 1."""
        total = sum([hit.valence for hit in self.hits])
        if not total:
            return 0.0
        total += self.emphasis
        return round(total / math.sqrt(total * total + ALPHA), 4)


def trace(vader: Vader, text: str) -> Trace:
    """The score of a text and how it came about; some times slower than the score alone."""
    seen: list[_Noting] = []

    def look(vader: Vader, tokens: list[str], words: list[str], joined: str) -> Window:
        seen.append(_Noting(vader, tokens, words, joined))
        return seen[-1]

    score = vader.score(text, look)
    if not seen:
        return Trace((), 0.0, score)
    return Trace(seen[0].hits(), seen[0].emphasis, score)


class _Noting(Window):
    def __init__(self, vader: Vader, tokens: list[str], words: list[str], joined: str) -> None:
        super().__init__(vader, tokens, words, joined)
        self._lexicon = vader.lexicon
        self._changes: dict[int, list[Change]] = {}
        self._counted: dict[int, float] = {}
        self.emphasis = 0.0

    def changed(self, i: int, cause: str, by: str, valence: float, after: float) -> float:
        if valence != after:
            told = DAMPENER if cause == BOOSTER and abs(after) < abs(valence) else cause
            self._changes.setdefault(i, []).append(Change(told, by, valence, after))
        return after

    def contrasted(self, valences: dict[int, float], but: int) -> dict[int, float]:
        found = super().contrasted(valences, but)
        for i, valence in valences.items():
            if found[i] != valence:
                side = "before but" if i < but else "after but"
                self._changes.setdefault(i, []).append(Change(BUT, side, valence, found[i]))
        return found

    def summed(self, valences: dict[int, float], words: int, emphasis: float) -> Score:
        self._counted = valences
        self.emphasis = math.copysign(emphasis, sum(valences.values())) if emphasis else 0.0
        return super().summed(valences, words, emphasis)

    def hits(self) -> tuple[Hit, ...]:
        """Every word with a valence in the order of the text, also where it came to nothing."""
        return tuple(self._hit(i, valence) for i, valence in self._counted.items())

    def _hit(self, i: int, valence: float) -> Hit:
        lexicon = self._lexicon[self._words[i]]
        changes = self._changes.get(i, [])
        if self._words[i] == "no" and self._words[i + 1] in self._lexicon:
            changes = [Change(JOINED, self._words[i + 1], lexicon, 0.0), *changes]
        return Hit(self._tokens[i - 3], lexicon, valence, tuple(changes))
