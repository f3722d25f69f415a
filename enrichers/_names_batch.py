"""Which texts of a batch may name any entity: those with a token that holds a telling word of some name, and
those in which two words of one stand side by side.

Most texts have none, and need no folding and no search. What words a token holds when it is folded hangs on
the token alone, tags and Korean particles included. Knows nothing of where a name stands.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate, pairwise

from enrichers._automaton import finder
from enrichers._codes import Coded
from pipeline.core.folding import fold_all_readings, plain_words
from pipeline.core.reading import START, UNREAD, Reading, holding

_ONE_WORD_TAG = re.compile(r"#(?:[A-Z]?[a-z]+|[A-Z]+)[^\w#]*").fullmatch
"""Tells tags that are read as no more than the word that they are."""

_NO_WORD = re.compile("[‘’“”…–—•€£\U0001f300-\U0001faff]")
"""Signs that are of no word and change no letter beside them: those that most texts beyond ASCII have."""

_Sign = tuple[frozenset[str], str, str]
"""The words with which the token's first makes a pair if the token before ends with one of them; its own last
word, if that begins a pair; itself if it may name something by itself, else nothing."""
_NONE: frozenset[str] = frozenset()


class NameWatch(Coded):
    """Watches for the names of one brands file, given by the telling words of some, folded, and by pairs of
    words of all others: each name has both words of its pair, with no more than a space between."""

    def __init__(self, telling: Iterable[str], pairs: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._telling = frozenset(telling)
        before: dict[str, set[str]] = {}
        for first, second in pairs:
            before.setdefault(second, set()).add(first)
        self._before = {second: frozenset(firsts) for second, firsts in before.items()}
        # One object of each word for all tokens that end with it.
        self._firsts = {first: first for firsts in self._before.values() for first in firsts}
        self._wanted = self._telling.union(self._before, self._firsts)
        self._inside = finder(self._wanted)

    def forget(self) -> None:
        """Drops all judgements."""
        super().forget()
        # By their codes: that of 0 is of all tokens that tell nothing.
        self._told: list[_Sign] = [(_NONE, "", ""), (_NONE, "", START), (_NONE, "", UNREAD)]

    def judged(self, tokens: list[str]) -> list[int]:
        """Looks for wanted words in all tokens together."""
        plain: list[str] = []
        others: list[str] = []
        for token in tokens:
            if token.isascii() and "&" not in token and ("#" not in token or _ONE_WORD_TAG(token)):
                plain.append(token)
            else:
                others.append(token)
        # Folded as one text, in which each token is still where it was: a tenth of the time of one by one.
        words = plain_words(" ".join(plain)) or ""
        some = holding(plain, words, self._wanted.intersection(words.split()))
        codes: dict[str, int] = {}
        for token in (*some, *self._likely(others)):
            if sign := self._sign(token):
                codes[token] = len(self._told)
                self._told.append(sign)
        return [codes.get(token, 0) for token in tokens]

    def _likely(self, tokens: Iterable[str]) -> list[str]:
        """Those of the tokens that may tell: folding one by itself takes far longer than looking for all."""
        odd: list[str] = []
        known: list[str] = []
        cut: list[str] = []
        for token in tokens:
            bare = token if token.isascii() else _NO_WORD.sub(" ", token)
            if bare.isascii() and "&" not in bare:
                known.append(token)
                cut.append(bare.lower())
            else:
                odd.append(token)
        # Whatever way such a token is read, its words stand in it letter by letter.
        ends = list(accumulate([len(bare) + 1 for bare in cut]))
        hits = self._inside(" ".join(cut), True)
        return odd + [known[number] for number in {bisect_right(ends, start) for _, start, _ in hits}]

    def _sign(self, token: str) -> _Sign | None:
        folded = fold_all_readings(token)
        words = folded.words.split()
        if not words:
            return None
        before, length = self._before, folded.length
        tells = not self._telling.isdisjoint(words) or any(
            first in before.get(second, _NONE) for first, second in pairwise(words)
        )
        behind = _NONE if folded.words[0] == " " else before.get(words[0], _NONE)
        last = "" if folded.words[length - 1] == " " else folded.words[:length].split()[-1]
        tail = self._firsts.get(last, "")
        return (behind, tail, token if tells else "") if tells or behind or tail else None

    def suspects(self, reading: Reading) -> dict[int, list[str]]:
        """The numbers of the texts that may name something, each with the tokens that may; among them
        ``UNREAD`` where a name may go over several tokens."""
        found: dict[int, list[str]] = {}
        text, before = -1, ""
        # Tokens without any sign between two words only make a text seem to have a pair that it has not.
        codes = self.codes(reading)
        for behind, tail, token in map(self._told.__getitem__, codes[codes != 0].tolist()):
            if token == START:
                text += 1
            else:
                if before in behind:
                    found.setdefault(text, []).append(UNREAD)
                if token:
                    found.setdefault(text, []).append(token)
            before = tail
        return found


def tags_among(tokens: list[str]) -> bool:
    """Whether tags are among these tokens, or what was too long to remember: only then a tag of the text may
    name something."""
    # As for a whole text, a name in the words of a tag has its telling word there.
    text = "".join(tokens)
    return "#" in text or "＃" in text or UNREAD in text
