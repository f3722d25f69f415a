"""VADER's scores of the texts of a whole batch, equal to those that `_vader` gives them one by one.

What a token becomes when it is typed out, stripped and looked up hangs on the token alone, and what a word
with a valence is worth hangs on it, three words before and two behind. So each token is judged once and
stands for one character, its *role*: all words that change nothing have the same. A batch is one string of
roles, in which words with a valence are found, and neighbourhoods compared, without a line of Python.
Tokens that become none or several words, most of them pictures, are put in their place word by word. The few
texts whose marks change are left to `_vader`, and so are those with a token too long to remember.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import count, repeat
from typing import NamedTuple

from enrichers._vader import NO_VALENCE, NO_WORDS, Score, Vader, Window, contrast, emphasis_of, summed
from pipeline.core.reading import EDGE, START, UNREAD, Reading, Signs

_NEIGHBOURHOODS = 50_000
"""Remembered at most."""

# Tokens that typing out leaves as they are.
_ALTERED = re.compile(r"[^\x21-%'-?A-_a-~]|://")
_PUNCTUATION = string.punctuation
# Roles: of words that do nothing, of "but", and of what is no word or several; then one for each thing that
# words do to others near them, and one for each valence of words, each once in capitals and once without.
_NOTHING, _BUT, _SPELT = ".", "b", "s"
_CHANGING, _SCORED = 0x3001, 0x4E00
_ANY_SCORED = chr(_SCORED)
_PLACES = re.compile(f"[{START}{UNREAD}{_BUT}\u4e00-\ud7ff]")

Neighbourhood = tuple[str, ...] | str
"""Three words before one with a valence, itself, two behind; or the roles of the first four."""


class _Valence(NamedTuple):
    """``among_others`` where some word of the text is not in capitals, ``alone`` where all are; None for a
    word that does not count at all."""

    among_others: float | None
    alone: float | None


class _Tokens:
    """The tokens of a reading, with words in the place of some. Few are ever asked for."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._starts: list[int] = []
        self._words: list[list[str]] = []
        self._added: list[int] = [0]

    def spell_out(self, place: int, words: list[str]) -> None:
        """Puts words in place of the token at that place of the reading, the last so far."""
        added = self._added[-1]
        self._starts.append(place + added)
        self._words.append(words)
        self._added.append(added + len(words) - 1)

    def __getitem__(self, place: int) -> str:
        i = bisect_right(self._starts, place)
        if i and place - self._starts[i - 1] < len(self._words[i - 1]):
            return self._words[i - 1][place - self._starts[i - 1]]
        return self._reading[place - self._added[i]]


class BatchVader(Signs):
    """The scorer of batches. ``typed`` is what happens to a text beforehand, token by token."""

    MARKS = (EDGE, START, UNREAD)

    def __init__(self, vader: Vader, typed: Callable[[str], str]) -> None:
        self._vader = vader
        self._typed = typed
        self._counting = vader.words_that_count
        self._wide_words = vader.wide
        super().__init__()

    def forget(self) -> None:
        """Drops all judgements."""
        super().forget()
        self._words: dict[str, str] = {EDGE: EDGE, START: EDGE}
        self._role_of: dict[object, str] = {}
        # What tokens are spelt out as: words, and their roles.
        self._spelt: dict[str, tuple[list[str], str]] = {}
        # A word of each role. One with a valence and no more stands for all such words.
        self._shown = {
            **{_NOTHING: "", UNREAD: "", EDGE: EDGE, START: EDGE},
            **{_BUT: "but", _ANY_SCORED: "good"},
        }
        # Roles that change a valence near them, and those beside which there is more to see.
        self._active: set[str] = set()
        self._wide: set[str] = set()
        self._changing, self._scored = map(chr, count(_CHANGING)), map(chr, count(_SCORED + 1))
        self._valences: dict[Neighbourhood, _Valence] = {}

    def signs(self, tokens: list[str]) -> list[str]:
        """The role of each token."""
        words = map(str.lower, map(str.strip, tokens, repeat(_PUNCTUATION)))
        counting, roles = self._counting, []
        for token, word in zip(tokens, words, strict=True):
            if _ALTERED.search(token):
                roles.append(self._retyped(token))
            elif word in counting or "n't" in word or len(word) <= 2:
                roles.append(self._role(token, token))
            else:
                roles.append(_NOTHING)
        return roles

    def _retyped(self, token: str) -> str:
        """The role of a token that is typed out."""
        typed = self._vader.spelt(self._typed(token))
        words = typed.split()
        if _marks(typed) != _marks(token):
            return UNREAD
        if len(words) == 1:
            return self._role(token, words[0])
        if any(map(_ALTERED.search, words)):
            return UNREAD
        self._spelt[token] = words, "".join(self.signs(words))
        return _SPELT

    def _role(self, token: str, part: str) -> str:
        """The role of a token that is typed out as that part."""
        bare = part.strip(_PUNCTUATION)
        if len(bare) <= 2:
            bare = part
        word = bare.lower()
        if word not in self._counting and "n't" not in word:
            return _NOTHING
        # `isupper` also tells emoticons such as ":D", as `_vader` has it.
        self._words[token] = shown = bare if bare.isupper() else word
        return self._role_of.get(shown) or self._new_role(shown, word)

    def _new_role(self, shown: str, word: str) -> str:
        """The role of a word that was not met before."""
        vader = self._vader
        effect = vader.effect_of(word)
        if word == "but":
            role = _BUT
        elif word in vader.scored:
            role = self._shared(self._scored, shown != word, effect or vader.lexicon[word])
        elif effect:
            role = self._shared(self._changing, shown != word, effect)
        else:
            role = _NOTHING
        if word in self._wide_words:
            self._wide.add(role)
        elif effect:
            self._active.add(role)
        self._shown.setdefault(role, shown)
        self._role_of[shown] = role
        return role

    def _shared(self, roles: Iterator[str], *meaning: object) -> str:
        """The role of all words that mean that, a new one for the first of them."""
        role = self._role_of.get(meaning)
        if role is None:
            role = self._role_of[meaning] = next(roles)
        return role

    def scores(self, reading: Reading, texts: Sequence[str]) -> list[Score | None]:
        """The scores of the texts, which are those of the reading; None for those left to `_vader`."""
        tokens, roles = self._spelt_out(reading)
        if len(self._valences) > _NEIGHBOURHOODS:
            self._valences = {}
        known, judged = self._valences.get, self._judged
        found: list[Score | None] = []
        places: list[int] = []
        valences: list[float] = []
        odd, but, start = False, 0, 2
        mixed: bool | None = None
        for match in _PLACES.finditer(roles, 3):
            i = match.start()
            role = roles[i]
            if role == START:
                if odd:
                    found.append(None)
                elif valences:
                    if but:
                        valences = list(contrast(dict(zip(places, valences, strict=True)), but).values())
                    found.append(summed(valences, i - start - 3, emphasis_of(texts[len(found)])))
                else:
                    found.append(NO_VALENCE if i - start > 3 else NO_WORDS)
                places, valences, odd, but, start, mixed = [], [], False, 0, i, None
            elif role == _BUT:
                but = but or i
            elif role == UNREAD:
                odd = True
            else:
                among_others, alone = known(roles[i - 3 : i + 1]) or judged(roles, i, tokens)
                if among_others is not None and alone is not None:
                    if among_others != alone:
                        mixed = self._is_mixed(tokens, start) if mixed is None else mixed
                    places.append(i)
                    valences.append(alone if mixed is False else among_others)
        return found

    def _spelt_out(self, reading: Reading) -> tuple[_Tokens, str]:
        """The tokens, with words for those that are spelt out, and the roles of them all."""
        tokens, roles = _Tokens(reading), self.joined(reading)
        place, behind = roles.find(_SPELT), 0
        theirs: list[str] = []
        while place >= 0:
            words, some = self._spelt[reading[place]]
            tokens.spell_out(place, words)
            theirs += roles[behind:place], some
            behind = place + 1
            place = roles.find(_SPELT, behind)
        return tokens, "".join(theirs) + roles[behind:]

    def _judged(self, roles: str, i: int, tokens: _Tokens) -> _Valence:
        """The valence of the word at ``i``, remembered."""
        around: Neighbourhood = roles[i - 3 : i + 1]
        shown, active = self._shown, self._active
        if not self._wide.isdisjoint(around):
            # Here words count that do nothing elsewhere: roles do not tell them, so these are not remembered.
            words = self._words
            typed = [words.get(tokens[place], "") for place in range(i - 3, i + 3)]
            same: Neighbourhood = tuple(typed)
        elif active.isdisjoint(around):
            same = roles[i]
            typed = ["", "", "", shown[same], "", ""]
        else:
            alike = [_ANY_SCORED if r > _ANY_SCORED and r not in active else r for r in around[:3]]
            typed = [*map(shown.__getitem__, alike), shown[roles[i]], "", ""]
            same = "".join(alike) + roles[i]
        valence = self._valences.get(same)
        if valence is None:
            self._valences[same] = valence = self._seen(typed)
        if isinstance(same, str):
            self._valences[around] = valence
        return valence

    def _seen(self, typed: list[str]) -> _Valence:
        """The valence of the fourth of six words."""
        both = []
        # Without capitals it is all the same whether other words have any.
        for mixed in (True, False) if any(map(str.isupper, typed)) else (True,):
            window = Window(self._vader, typed, [word.lower() for word in typed], " ".join(typed).lower())
            window.mixed = mixed
            both.append(window.valences([6]).get(6))
        return _Valence(both[0], both[-1])

    def _is_mixed(self, tokens: _Tokens, place: int) -> bool:
        """Whether some word of the text that starts at that place is not in capitals."""
        while tokens[place := place + 1] != EDGE:
            part = self._vader.spelt(self._typed(tokens[place])).strip()
            bare = part.strip(_PUNCTUATION)
            if not (bare if len(bare) > 2 else part).isupper():
                return True
        return False


def _marks(text: str) -> tuple[int, int]:
    return text.count("!"), text.count("?")
