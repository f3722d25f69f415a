"""VADER's scores of the texts of a whole batch, equal to those that `_vader` gives them one by one.

What a token becomes when it is typed out, stripped and looked up hangs on the token alone, and what a word
with a valence is worth hangs on it, three words before and two behind. So tokens are judged once, and so is
each neighbourhood, in which all words that change nothing are alike. Texts with a token that becomes none or
several words are left to `_vader`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from enrichers._vader import EDGE as NO_WORD
from enrichers._vader import NO_VALENCE, NO_WORDS, Score, Vader, Window, contrast, emphasis_of, summed
from pipeline.core.reading import EDGE, START, UNREAD, Acquaintance, Reading

_NEIGHBOURHOODS = 50_000
"""Remembered at most."""

# Tokens that typing out leaves as they are.
_ALTERED = re.compile(r"[^\x21-\x7e]|[&@`]|://")
_PUNCTUATION = string.punctuation
_HIT, _BUT, _ODD, _NEXT = range(4)

Neighbourhood = tuple[str | None, ...]
"""Three words before one with a valence, itself, two behind: in small letters unless all are capitals. None
for a word that changes nothing, one word for all that only have a valence."""


class _Valence(NamedTuple):
    """``among_others`` where some word of the text is not in capitals, ``alone`` where all are; None for a
    word that does not count at all."""

    among_others: float | None
    alone: float | None


class BatchVader(Acquaintance):
    """The scorer of batches. ``typed`` is what happens to a text beforehand, token by token."""

    def __init__(self, vader: Vader, typed: Callable[[str], str]) -> None:
        super().__init__()
        self._vader = vader
        self._typed = typed
        self._changing = vader.words_that_count
        # Words with a valence of their own that do no more to others than any such word.
        self._all_alike = frozenset(vader.lexicon) - vader.words_that_change
        self._alike = min(self._all_alike)
        self.forget()

    def forget(self) -> None:
        """Drops all judgements."""
        self._kinds = {START: _NEXT, UNREAD: _ODD}
        self._words: dict[str, str] = {}
        self._roles: dict[str, str] = {EDGE: NO_WORD, START: NO_WORD}
        self._valences: dict[Neighbourhood, _Valence] = {}

    def learn(self, fresh: set[str]) -> None:
        """Judges tokens: what word each is, if it counts for anything."""
        altered, scored, changing, kinds = _ALTERED.search, self._vader.scored, self._changing, self._kinds
        for token in fresh:
            if altered(token):
                typed = self._vader.spelt(self._typed(token))
                parts = typed.split()
                if len(parts) != 1 or _marks(typed) != _marks(token):
                    kinds[token] = _ODD
                    continue
                (part,) = parts
            else:
                part = token
            bare = part.strip(_PUNCTUATION)
            if len(bare) <= 2:
                bare = part
            word = bare.lower()
            if word in changing or "n't" in word:
                # `isupper` also tells emoticons such as ":D", as `_vader` has it.
                self._words[token] = shown = bare if bare.isupper() else word
                self._roles[token] = self._alike if word in self._all_alike else shown
                if word in scored:
                    kinds[token] = _HIT
                elif word == "but":
                    kinds[token] = _BUT

    def scores(self, reading: Reading, texts: Sequence[str]) -> list[Score | None]:
        """The scores of the texts, which are those of the reading; None for those left to `_vader`."""
        self.meet(reading)
        tokens, kinds = reading.tokens, self._kinds
        if len(self._valences) > _NEIGHBOURHOODS:
            self._valences = {}
        word, role, known = self._words.get, self._roles.get, self._valences.get
        found: list[Score | None] = []
        valences: dict[int, float] = {}
        odd, but, start = False, 0, 2
        mixed: bool | None = None
        for i in islice(reading.places(kinds), 1, None):
            kind = kinds[tokens[i]]
            if kind == _HIT:
                one, two, three, _, next_one, next_two = tokens[i - 3 : i + 3]
                around = role(one), role(two), role(three), word(tokens[i]), role(next_one), role(next_two)
                among_others, alone = known(around) or self._judged(around)
                if among_others is not None and alone is not None:
                    if among_others != alone:
                        mixed = self._is_mixed(tokens, start) if mixed is None else mixed
                    valences[i] = alone if mixed is False else among_others
            elif kind == _NEXT:
                if odd:
                    found.append(None)
                elif valences:
                    valences = contrast(valences, but) if but else valences
                    emphasis = emphasis_of(texts[len(found)])
                    found.append(summed(list(valences.values()), i - start - 3, emphasis))
                else:
                    found.append(NO_VALENCE if i - start > 3 else NO_WORDS)
                valences, odd, but, start, mixed = {}, False, 0, i, None
            elif kind == _BUT:
                but = but or i
            else:
                odd = True
        return found

    def _judged(self, around: Neighbourhood) -> _Valence:
        """The valence of the word in the middle, remembered."""
        typed = [word or "" for word in around]
        both = []
        # Without capitals it is all the same whether other words have any.
        for mixed in (True, False) if any(map(str.isupper, typed)) else (True,):
            window = Window(self._vader, typed, [word.lower() for word in typed], " ".join(typed).lower())
            window.mixed = mixed
            both.append(window.valences([6]).get(6))
        self._valences[around] = valence = _Valence(both[0], both[-1])
        return valence

    def _is_mixed(self, tokens: Sequence[str], place: int) -> bool:
        """Whether some word of the text that starts at that place is not in capitals."""
        while tokens[place := place + 1] != EDGE:
            part = self._vader.spelt(self._typed(tokens[place])).strip()
            bare = part.strip(_PUNCTUATION)
            if not (bare if len(bare) > 2 else part).isupper():
                return True
        return False


def _marks(text: str) -> tuple[int, int]:
    return text.count("!"), text.count("?")
