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
from itertools import count, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enrichers._codes import Coded, Codes, Places, owners_of, starts_of
from enrichers._vader import NO_VALENCE, NO_WORDS, Score, Vader, Window, contrast
from enrichers._vader_sums import scores_of
from pipeline.core.reading import EDGE, START, Reading

_NEIGHBOURHOODS = 50_000
"""Remembered at most."""

# Tokens that typing out leaves as they are.
_ALTERED = re.compile(r"[^\x21-%'-?A-_a-~]|://")
_PUNCTUATION = string.punctuation
# Roles: of white space and of what is too long to remember, as of all tokens; of words that do nothing, of
# "but", and of what is no word or several; then one for each thing that words do to others near them, and one
# for each valence of words, each once in capitals and once without.
_EDGE, _START, _UNREAD, _NOTHING, _BUT, _SPELT, _CHANGING = range(7)
_SCORED, _ROLES = 1 << 12, 1 << 13
_ANY_SCORED = _SCORED
_ROLE_BITS = 16
# Roles that change a valence near them, and those beside which there is more to see.
_ACTIVE, _WIDE = 1, 2

Neighbourhood = tuple[str, ...] | int
"""Three words before one with a valence, itself, two behind; or the roles of the first four in one number,
those of all words with a valence and no more being one."""


class _Valence(NamedTuple):
    """``among_others`` where some word of the text is not in capitals, ``alone`` where all are; not a number
    for a word that does not count at all."""

    among_others: float
    alone: float


_NO_VALENCE = _Valence(np.nan, np.nan)


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
        self._words: dict[str, str] = {EDGE: EDGE, START: EDGE}
        self._role_of: dict[object, int] = {}
        # What tokens are spelt out as: words, and their roles.
        self._spelt: dict[str, tuple[list[str], Codes]] = {}
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
        counting, roles = self._counting, []
        for token, word in zip(tokens, words, strict=True):
            if _ALTERED.search(token):
                roles.append(self._retyped(token))
            elif word in counting or "n't" in word or len(word) <= 2:
                roles.append(self._role(token, token))
            else:
                roles.append(_NOTHING)
        return roles

    def _retyped(self, token: str) -> int:
        """The role of a token that is typed out."""
        typed = self._vader.spelt(self._typed(token))
        words = typed.split()
        if _marks(typed) != _marks(token):
            return _UNREAD
        if len(words) == 1:
            return self._role(token, words[0])
        if any(map(_ALTERED.search, words)):
            return _UNREAD
        self._spelt[token] = words, np.array(self.judged(words), np.uint32)
        return _SPELT

    def _role(self, token: str, part: str) -> int:
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

    def _new_role(self, shown: str, word: str) -> int:
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
        if role not in self._shown:
            self._shown[role] = shown
            if role > _SCORED:
                self._among_others[role], self._alone[role] = self._seen(["", "", "", shown, "", ""])
        if effect:
            self._stirs[role] |= _WIDE if word in self._wide_words else _ACTIVE
            self._alike[role] = role
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
        tokens, roles = self._spelt_out(reading)
        starts = starts_of(roles)
        words = np.diff(starts) - 3
        found: list[Score | None] = [NO_VALENCE if some else NO_WORDS for some in words.tolist()]
        valences, owners = self._valences_of(tokens, roles, starts)
        for number, score in scores_of(valences, owners, words, texts):
            found[number] = score
        for number in owners_of(np.flatnonzero(roles == _UNREAD), starts).tolist():
            found[number] = None
        return found

    def _valences_of(
        self, tokens: _Tokens, roles: Codes, starts: Places
    ) -> tuple[NDArray[np.float64], Places]:
        """The valences of all words that count, and the number of the text that each stands in."""
        valences, alone, places = self._valued(tokens, roles, np.flatnonzero(roles >= _SCORED))
        owners = owners_of(places, starts)
        mixed: dict[int, bool] = {}
        for i in np.flatnonzero(valences != alone).tolist():
            text = int(owners[i])
            if text not in mixed:
                mixed[text] = self._is_mixed(tokens, int(starts[text]))
            if not mixed[text]:
                valences[i] = alone[i]
        buts = np.flatnonzero(roles == _BUT)
        firsts = dict(zip(owners_of(buts, starts)[::-1].tolist(), buts[::-1].tolist(), strict=True))
        for text, but in firsts.items():
            theirs = slice(*np.searchsorted(owners, (text, text + 1)))
            told = dict(zip(places[theirs].tolist(), valences[theirs].tolist(), strict=True))
            valences[theirs] = list(contrast(told, but).values())
        return valences, owners

    def _valued(
        self, tokens: _Tokens, roles: Codes, places: Places
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Places]:
        """What the words at these places are worth among others and alone; and the places of those that
        count."""
        if len(self._valences) > _NEIGHBOURHOODS:
            self._valences = {}
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
        known, seen = self._valences.get, self._seen_around
        for i, key in zip(stirred.tolist(), keys.tolist(), strict=True):
            among_others[i], alone[i] = known(key) or seen(key, int(places[i]), tokens)
        counting = ~np.isnan(among_others)
        return among_others[counting], alone[counting], places[counting]

    def _spelt_out(self, reading: Reading) -> tuple[_Tokens, Codes]:
        """The tokens, with words for those that are spelt out, and the roles of them all."""
        tokens, roles = _Tokens(reading), self.codes(reading)
        theirs: list[Codes] = []
        behind = 0
        for place in np.flatnonzero(roles == _SPELT).tolist():
            words, some = self._spelt[reading[place]]
            tokens.spell_out(place, words)
            theirs += roles[behind:place], some
            behind = place + 1
        return tokens, np.concatenate([*theirs, roles[behind:]]) if behind else roles

    def _seen_around(self, key: int, i: int, tokens: _Tokens) -> _Valence:
        """The valence of the word at ``i`` in the neighbourhood of that key, remembered."""
        around = [key >> _ROLE_BITS * behind & (1 << _ROLE_BITS) - 1 for behind in (3, 2, 1, 0)]
        same: Neighbourhood = key
        if any(self._stirs[role] & _WIDE for role in around):
            # Here words count that do nothing elsewhere: roles do not tell them.
            words = self._words
            same = tuple([words.get(tokens[place], "") for place in range(i - 3, i + 3)])
            typed = [*same]
        else:
            typed = [*map(self._shown.__getitem__, around), "", ""]
        valence = self._valences.get(same)
        if valence is None:
            self._valences[same] = valence = self._seen(typed)
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
        return _NO_VALENCE if among_others is None or alone is None else _Valence(among_others, alone)

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
