"""Which texts of a batch may name any entity: those with a token that holds a telling word of some name.

Most texts have none, and need no folding and no search. What words a token holds when it is folded hangs on
the token alone, tags and Korean particles included. Knows nothing of where a name stands.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from enrichers._automaton import finder
from pipeline.core.folding import fold_all_readings, plain_words
from pipeline.core.reading import START, UNREAD, Acquaintance, Reading, holding

_ONE_WORD_TAG = re.compile(r"#(?:[A-Z]?[a-z]+|[A-Z]+)[^\w#]*").fullmatch
"""Tells tags that are read as no more than the word that they are."""

_NO_WORD = re.compile("[‘’“”…–—•€£\U0001f300-\U0001faff]")
"""Signs that are of no word and change no letter beside them: those that most texts beyond ASCII have."""


class NameWatch(Acquaintance[str]):
    """Watches for the names of one brands file, given by the telling words of each, folded.

    A token's sign is itself if it has a telling word, else none.
    """

    MARKS = ("", START, UNREAD)

    def __init__(self, telling: frozenset[str]) -> None:
        super().__init__()
        self._telling = telling
        self._inside = finder(telling)

    def signs(self, tokens: list[str]) -> list[str]:
        """Looks for telling words in all tokens together."""
        plain: list[str] = []
        others: list[str] = []
        for token in tokens:
            if token.isascii() and "&" not in token and ("#" not in token or _ONE_WORD_TAG(token)):
                plain.append(token)
            else:
                others.append(token)
        # Folded as one text, in which each token is still where it was: a tenth of the time of one by one.
        words = plain_words(" ".join(plain)) or ""
        some = set(holding(plain, words, self._telling.intersection(words.split())))
        some.update(filter(self._tells, self._likely(others)))
        return [token if token in some else "" for token in tokens]

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

    def _tells(self, token: str) -> bool:
        return not self._telling.isdisjoint(fold_all_readings(token).words.split())

    def suspects(self, reading: Reading) -> dict[int, list[str]]:
        """The numbers of the texts that may name something, each with the tokens that may."""
        found: dict[int, list[str]] = {}
        text = -1
        for token in filter(None, self.of_each(reading)):
            if token == START:
                text += 1
            else:
                found.setdefault(text, []).append(token)
        return found


def tags_among(tokens: list[str]) -> bool:
    """Whether tags are among these tokens, or what was too long to remember: only then a tag of the text may
    name something."""
    # As for a whole text, a name in the words of a tag has its telling word there.
    text = "".join(tokens)
    return "#" in text or "＃" in text or UNREAD in text
