"""What a text holds of the phrases that rules ask for, told by single words: its *signs*.

A phrase's sign is a word without which it cannot be there. Whether a token holds one hangs on the token
alone, so it is worked out once a token, and a batch's texts need not be cut into words one by one.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.reading import START, UNREAD, Acquaintance, Reading, holding
from pipeline.core.wording import OPEN_END, Phrase, spaced, words_of

Signs = frozenset[str]
NO_SIGNS: Signs = frozenset()


class SignWatch(Acquaintance):
    """Watches for the signs of some phrases, all of which are added before the first text."""

    def __init__(self) -> None:
        super().__init__()
        self._whole: set[str] = set()
        self._begun: tuple[str, ...] = ()
        self.forget()

    def add(self, phrases: Iterable[Phrase]) -> None:
        """Watches for these as well."""
        for phrase in phrases:
            begun = phrase.sign.removesuffix(OPEN_END)
            if begun == phrase.sign:
                self._whole.add(begun)
            elif begun not in self._begun:
                self._begun = (*self._begun, begun)

    def forget(self) -> None:
        """Drops all judgements."""
        self._of: dict[str, Signs] = {START: NO_SIGNS, UNREAD: NO_SIGNS}

    def learn(self, fresh: set[str]) -> None:
        """Keeps the signs of the tokens that hold any."""
        plain = [token for token in fresh if token.isascii()]
        # Cut as one text, in which each token is still where it was: a tenth of the time of one by one.
        words = spaced(" ".join(plain))
        for token in holding(plain, words, self._whole.intersection(words.split()), self._begun):
            self._keep(token, words_of(token))
        for token in fresh.difference(plain):
            self._keep(token, words_of(token))

    def _keep(self, token: str, words: Iterable[str]) -> None:
        signs = self.of_words(words)
        if "" in self._whole and not token.isascii():
            signs |= {""}
        if signs:
            self._of[token] = signs

    def of_words(self, words: Iterable[str]) -> Signs:
        """The signs that are among the words of a text, but for that of phrases without any."""
        distinct = frozenset(words)
        signs = distinct & self._whole
        begun = self._begun
        if begun:
            signs |= {
                start + OPEN_END
                for word in distinct
                if word.startswith(begun)
                for start in begun
                if word.startswith(start)
            }
        return signs

    def all_of(self, reading: Reading) -> list[Signs | None]:
        """The signs of each text of the reading; None for a text with a token too long to remember."""
        self.meet(reading)
        of = self._of
        found: list[Signs | None] = []
        for token in filter(of.__contains__, reading.tokens):
            if token == START:
                found.append(NO_SIGNS)
            elif token == UNREAD:
                found[-1] = None
            elif (before := found[-1]) is not None:
                found[-1] = before | of[token] if before else of[token]
        del found[-1]
        return found
