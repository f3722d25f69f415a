"""VADER's scores of the texts of a whole batch, equal to those that `_vader` gives them one by one.

What a token becomes when it is typed out, stripped and looked up hangs on the token alone, and what a word
with a valence is worth hangs on it, three words before and two behind. So each token is judged once and
has a *role*, its code: all words that change nothing have the same. A batch is one row of roles, in which
words with a valence are found, neighbourhoods compared and valences added up without a line of Python.
Tokens that become none or several words, most of them pictures, are put in their place word by word. The few
texts whose marks change are left to `_vader`, and so are those with a token too long to remember.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, count, repeat
from typing import NamedTuple

import numpy as np

from enrichers._codes import Coded, Codes, Numbers, Places, owners_of, starts_of
from enrichers._vader import NO_VALENCE, NO_WORDS, Score, Vader, Window, contrast
from enrichers._vader_sums import scores_of
from pipeline.core.reading import EDGE, Reading

_NEIGHBOURHOODS = 50_000
"""Remembered at most."""

# Tokens that typing out leaves as they are.
_ALTERED = re.compile(r"[^\n\x21-%'-?A-_a-~]|://")
_PUNCTUATION = string.punctuation
# Roles: of white space and of what is too long to remember, as of all tokens; of words that do nothing, of
# "but", and of what is no word or several; then one for each thing that words do to others near them, and one
# for each valence of words, each once in capitals and once without.
_EDGE, _START, _UNREAD, _NOTHING, _BUT, _SPELT, _CHANGING = range(7)
_SCORED, _ROLES = 1 << 12, 1 << 13
_ANY_SCORED = _SCORED
_ROLE_BITS = 16
# Roles that change a valence near them, and those beside which words count that do nothing elsewhere.
_ACTIVE, _WIDE = 1, 2

Neighbourhood = int | bytes
"""The roles of three words before one with a valence and its own in one number, those of all words with a
valence and no more being one; where a word stirs widely, the very roles of the four and of two behind."""


class _Valence(NamedTuple):
    """``among_others`` where some word of the text is not in capitals, ``alone`` where all are; not a number
    for a word that does not count at all."""

    among_others: float
    alone: float


_NOT_COUNTED = _Valence(np.nan, np.nan)


class BatchVader(Coded):
    """The scorer of batches. ``typed`` is what happens to a text beforehand, token by token."""

    def __init__(self, vader: Vader, typed: Callable[[str], str]) -> None:
        self._vader = vader
        self._typed = typed
        self._counting = vader.words_that_count
        self._wide_words = vader.wide
        super().__init__()

    def forget(self) -> None:
        """Drops all judgements."""
        super().forget()
        self._role_of: dict[object, int] = {}
        # The roles of the words that tokens are spelt out as.
        self._spelt: dict[str, Codes] = {}
        # A word of each role. One with a valence and no more stands for all such words.
        self._shown = {
            **{_NOTHING: "", _UNREAD: "", _EDGE: EDGE, _START: EDGE},
            **{_BUT: "but", _ANY_SCORED: "good"},
        }
        self._stirs = np.zeros(_ROLES, np.uint8)
        # What words of each role are worth where no other stirs.
        self._among_others, self._alone = np.zeros(_ROLES), np.zeros(_ROLES)
        # What each role is to words behind it.
        self._alike = np.arange(_ROLES, dtype=np.uint64)
        self._alike[_SCORED:] = _ANY_SCORED
        self._changing, self._scored = count(_CHANGING), count(_SCORED + 1)
        self._valences: dict[Neighbourhood, _Valence] = {}

    def judged(self, tokens: list[str]) -> list[int]:
        """The role of each token."""
        words = map(str.lower, map(str.strip, tokens, repeat(_PUNCTUATION)))
        counting = self._counting
        roles = [
            self._role(token) if word in counting or len(word) <= 2 or "n't" in word else _NOTHING
            for token, word in zip(tokens, words, strict=True)
        ]
        # Looked for in all tokens together, for few are altered.
        ends = [*accumulate([len(token) + 1 for token in tokens])]
        for i in {bisect_right(ends, found.start()) for found in _ALTERED.finditer("\n".join(tokens))}:
            roles[i] = self._retyped(tokens[i])
        return roles

    def _retyped(self, token: str) -> int:
        """The role of a token that is typed out."""
        typed = self._vader.spelt(self._typed(token))
        words = typed.split()
        if _marks(typed) != _marks(token):
            return _UNREAD
        if len(words) == 1:
            return self._role(words[0])
        if any(map(_ALTERED.search, words)):
            return _UNREAD
        self._spelt[token] = np.array(self.judged(words), np.uint32)
        return _SPELT

    def _role(self, part: str) -> int:
        """The role of a token that is typed out as that part, or is that."""
        bare = part.strip(_PUNCTUATION)
        if len(bare) <= 2:
            bare = part
        word = bare.lower()
        if word not in self._counting and "n't" not in word:
            return _NOTHING
        # `isupper` also tells emoticons such as ":D", as `_vader` has it.
        shown = bare if bare.isupper() else word
        return self._role_of.get(shown) or self._new_role(shown, word)

    def _new_role(self, shown: str, word: str) -> int:
        """The role of a word that was not met before."""
        vader = self._vader
        effect = vader.effect_of(word)
        if word == "but":
            role = _BUT
        elif word in vader.scored:
            role = self._shared(self._scored, shown != word, effect or vader.lexicon[word])
        elif effect or word in vader.words_of_phrases:
            role = self._shared(self._changing, shown != word, effect or word)
        else:
            role = _NOTHING
        if role not in self._shown:
            self._shown[role] = shown
            if role > _SCORED:
                self._among_others[role], self._alone[role] = self._seen(["", "", "", shown, "", ""])
        if effect:
            self._stirs[role] |= _WIDE if word in self._wide_words else _ACTIVE
            self._alike[role] = role
        elif role < _SCORED:
            self._alike[role] = _NOTHING
        self._role_of[shown] = role
        return role

    def _shared(self, roles: Iterator[int], *meaning: object) -> int:
        """The role of all words that mean that, a new one for the first of them."""
        role = self._role_of.get(meaning)
        if role is None:
            role = self._role_of[meaning] = next(roles)
        return role

    def scores(self, reading: Reading, texts: Sequence[str]) -> list[Score | None]:
        """The scores of the texts, which are those of the reading; None for those left to `_vader`."""
        roles = self._spelt_out(reading)
        starts = starts_of(roles)
        words = np.diff(starts) - 3
        found: list[Score | None] = [NO_VALENCE if some else NO_WORDS for some in words.tolist()]
        valences, owners = self._valences_of(roles, starts, texts)
        for number, score in scores_of(valences, owners, words, texts):
            found[number] = score
        unread = np.flatnonzero(roles == _UNREAD)
        if len(unread):
            for number in owners_of(unread, starts).tolist():
                found[number] = None
        return found

    def _spelt_out(self, reading: Reading) -> Codes:
        """The roles of the tokens, with those of their words in the place of such as are spelt out."""
        roles = self.codes(reading)
        theirs: list[Codes] = []
        behind = 0
        for place in np.flatnonzero(roles == _SPELT).tolist():
            theirs += roles[behind:place], self._spelt[reading[place]]
            behind = place + 1
        return np.concatenate([*theirs, roles[behind:]]) if behind else roles

    def _valences_of(self, roles: Codes, starts: Places, texts: Sequence[str]) -> tuple[Numbers, Places]:
        """The valences of all words that count, and the number of the text that each stands in."""
        valences, alone, places = self._valued(roles, np.flatnonzero(roles >= _SCORED))
        owners = owners_of(places, starts)
        shouted: dict[int, bool] = {}
        for i in np.flatnonzero(valences != alone).tolist():
            text = int(owners[i])
            if text not in shouted:
                shouted[text] = self._is_shouted(texts[text])
            if shouted[text]:
                valences[i] = alone[i]
        buts = np.flatnonzero(roles == _BUT)
        if not len(buts):
            return valences, owners
        firsts = dict(zip(owners_of(buts, starts)[::-1].tolist(), buts[::-1].tolist(), strict=True))
        for text, but in firsts.items():
            theirs = slice(*np.searchsorted(owners, (text, text + 1)))
            told = dict(zip(places[theirs].tolist(), valences[theirs].tolist(), strict=True))
            valences[theirs] = list(contrast(told, but).values())
        return valences, owners

    def _valued(self, roles: Codes, places: Places) -> tuple[Numbers, Numbers, Places]:
        """What the words at these places are worth among others and alone; and the places of those that
        count."""
        own = roles[places]
        before = [roles[places - behind] for behind in (3, 2, 1)]
        among_others, alone = self._among_others[own], self._alone[own]
        stirs = self._stirs[own]
        for theirs in before:
            stirs |= self._stirs[theirs]
        stirred = np.flatnonzero(stirs)
        keys = own[stirred].astype(np.uint64)
        for behind, theirs in zip((3, 2, 1), before, strict=True):
            keys |= self._alike[theirs[stirred]] << _ROLE_BITS * behind
        around: list[Neighbourhood] = keys.tolist()
        for i in np.flatnonzero(stirs[stirred] & _WIDE).tolist():
            place = places[stirred[i]]
            around[i] = roles[place - 3 : place + 3].tobytes()
        if len(self._valences) > _NEIGHBOURHOODS:
            self._valences = {}
        known, seen = self._valences.get, self._seen_around
        for i, key in zip(stirred.tolist(), around, strict=True):
            among_others[i], alone[i] = known(key) or seen(key)
        counting = ~np.isnan(among_others)
        return among_others[counting], alone[counting], places[counting]

    def _seen_around(self, key: Neighbourhood) -> _Valence:
        """The valence of the fourth word of a neighbourhood, remembered."""
        if isinstance(key, int):
            roles = [key >> _ROLE_BITS * behind & (1 << _ROLE_BITS) - 1 for behind in (3, 2, 1, 0)]
        else:
            roles = np.frombuffer(key, np.uint32).tolist()
        typed = [*map(self._shown.__getitem__, roles), "", ""][:6]
        valence = self._valences[key] = self._seen(typed)
        return valence

    def _seen(self, typed: list[str]) -> _Valence:
        """The valence of the fourth of six words."""
        both: list[float | None] = []
        # Without capitals it is all the same whether other words have any.
        for mixed in (True, False) if any(map(str.isupper, typed)) else (True,):
            window = Window(self._vader, typed, [word.lower() for word in typed], " ".join(typed).lower())
            window.mixed = mixed
            both.append(window.valences([6]).get(6))
        among_others, alone = both[0], both[-1]
        return _NOT_COUNTED if among_others is None or alone is None else _Valence(among_others, alone)

    def _is_shouted(self, text: str) -> bool:
        """Whether all words of the text are in capitals."""
        for token in text.split():
            for part in self._vader.spelt(self._typed(token)).split():
                bare = part.strip(_PUNCTUATION)
                if not (bare if len(bare) > 2 else part).isupper():
                    return False
        return True


def _marks(text: str) -> tuple[int, int]:
    return text.count("!"), text.count("?")
