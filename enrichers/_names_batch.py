"""Which texts of a batch may name any entity: those with a token that holds a telling word of some name.

Most texts have none, and need no folding and no search. What words a token holds when it is folded hangs on
the token alone, tags and Korean particles included. Knows nothing of where a name stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipeline.core.folding import fold_all_readings, plain_words
from pipeline.core.reading import START, UNREAD, Acquaintance, Reading, holding
from pipeline.core.stop_words import STOP_WORDS

_ONE_WORD_TAG = re.compile(r"#(?:[A-Z]?[a-z]+|[A-Z]+)[^\w#]*").fullmatch
"""Tells tags that are read as no more than the word that they are."""


class NameWatch(Acquaintance):
    """Watches for the names of one brands file, given as the words of each, folded."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        # A word that is in every text would tell nothing; of the others the longest is the rarest.
        self._telling = frozenset(
            max(name.split(), key=lambda word: (word not in STOP_WORDS, len(word))) for name in names
        )
        self.forget()

    def forget(self) -> None:
        """Drops all judgements."""
        self._hot = {START, UNREAD}

    def learn(self, fresh: set[str]) -> None:
        """Keeps the tokens with a telling word."""
        plain = [
            token
            for token in fresh
            if token.isascii() and "&" not in token and ("#" not in token or _ONE_WORD_TAG(token))
        ]
        # Folded as one text, in which each token is still where it was: a tenth of the time of one by one.
        words = plain_words(" ".join(plain)) or ""
        self._hot.update(holding(plain, words, self._telling.intersection(words.split())))
        self._hot.update(filter(self._tells, fresh.difference(plain)))

    def _tells(self, token: str) -> bool:
        return not self._telling.isdisjoint(fold_all_readings(token).words.split())

    def suspects(self, reading: Reading) -> dict[int, bool]:
        """The numbers of the texts that may name something; the others do not. Each with whether its tags, or
        what was too long to remember, may."""
        self.meet(reading)
        return {number: _tags_among(told) for number, told in reading.by_text(self._hot).items()}


def _tags_among(tokens: list[str]) -> bool:
    # As for a whole text, a name in the words of a tag has its telling word there.
    text = "".join(tokens)
    return "#" in text or "＃" in text or UNREAD in text
