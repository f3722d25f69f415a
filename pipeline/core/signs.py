"""What a text holds of the phrases that rules ask for, told by single words: its *signs*.

A phrase's sign is a word without which it cannot be there. Whether a token holds one hangs on the token
alone, so it is worked out once a token, and a batch's texts need not be cut into words one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.core.reading import holding
from pipeline.core.wording import OPEN_END, Phrase, spaced, words_of

Signs = frozenset[str]
NO_SIGNS: Signs = frozenset()


class SignWatch:
    """Watches for the signs of some phrases, all of which are added before the first text."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._begun: tuple[str, ...] = ()

    def add(self, phrases: Iterable[Phrase]) -> None:
        """Watches for these as well."""
        for phrase in phrases:
            begun = phrase.sign.removesuffix(OPEN_END)
            if begun == phrase.sign:
                self._whole.add(begun)
            elif begun not in self._begun:
                self._begun = (*self._begun, begun)

    def of_tokens(self, tokens: Sequence[str]) -> list[Signs]:
        """The signs that each token holds, looked for in all of them together."""
        plain = [token for token in tokens if token.isascii()]
        # Cut as one text, in which each token is still where it was: a tenth of the time of one by one.
        words = spaced(" ".join(plain))
        some = holding(plain, words, self._whole.intersection(words.split()), self._begun)
        if len(plain) < len(tokens):
            some += [token for token in tokens if not token.isascii()]
        of = {token: self._of(token) for token in some}
        return [of.get(token, NO_SIGNS) for token in tokens]

    def _of(self, token: str) -> Signs:
        signs = self.of_words(words_of(token))
        return signs | {""} if "" in self._whole and not token.isascii() else signs

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
