"""The cues in the texts of a whole batch, the same that `_complaint_scan` finds in them one by one.

What words a token is made of hangs on the token alone, so each token is cut once. Words that are in no
phrase are all alike. One pass over all words of the batch finds those that some cue is filed under.
"""

from __future__ import annotations

import re
from itertools import chain, compress, count, islice, repeat

from enrichers._complaint_rules import NO_OPINION, Opinion, opinion_of
from enrichers._complaint_scan import BOUND, Match, Scanner, apart
from pipeline.core.reading import EDGE, START, UNREAD, Acquaintance, Reading

_OPINIONS = 20_000
"""Sets of cues whose opinion is remembered, at most."""

# Tokens that may be cut together, as nothing in them hangs on what follows: no entity, no link.
_ALONE = re.compile(r"[^\x21-\x7e]|&|://")
_BETWEEN = "\x01"
_SOME, _DIGIT = "\0", "0"
_UNTOLD = (_SOME,)
"""The words of most tokens: these are not remembered."""


class BatchScanner(Acquaintance):
    """Searches batches for the cues of one scanner."""

    def __init__(self, scanner: Scanner) -> None:
        super().__init__()
        self._scanner = scanner
        self._telling = scanner.telling
        self._filed = frozenset((*scanner.filed, BOUND, UNREAD))
        self._opinions: dict[tuple[int, ...], Opinion] = {}
        self.forget()

    def forget(self) -> None:
        """Drops all judgements."""
        self._words: dict[str, tuple[str, ...]] = {EDGE: (), START: (BOUND,), UNREAD: (UNREAD,)}
        self._kept: dict[tuple[str, ...], tuple[str, ...]] = {}

    def learn(self, fresh: set[str]) -> None:
        """Cuts tokens into words."""
        together = [token for token in fresh if not _ALONE.search(token)]
        for token in fresh.difference(together):
            self._keep(token, self._scanner.read(token).words)
        cut = self._scanner.plain(_BETWEEN.join(together)).split(_BETWEEN)
        for token, words in zip(together, cut, strict=True) if together else ():
            # Most new tokens are one word that tells nothing.
            if words in self._telling or not words.isalpha():
                self._keep(token, words.split())

    def _keep(self, token: str, words: list[str]) -> None:
        telling = self._telling
        kept = tuple(
            [
                word if word in telling else _DIGIT if word.lstrip("£$€")[:1].isdigit() else _SOME
                for word in words
            ]
        )
        if kept != _UNTOLD:
            # Few tuples stand for all tokens, so that remembering them costs little.
            self._words[token] = self._kept.setdefault(kept, kept)

    def opinions(self, reading: Reading) -> list[Opinion | None]:
        """What the cues of each text of the reading say, if line breaks are no more than spaces: they end a
        clause. None for texts left to the scanner itself."""
        self.meet(reading)
        words = list(chain.from_iterable(map(self._words.get, reading.tokens, repeat(_UNTOLD))))
        filed, match = self._scanner.filed, self._scanner.match
        found: list[Match] = []
        is_filed = self._filed.__contains__
        pairs = zip(words, islice(words, 1, None))  # noqa: B905 - the last has none
        for i in list(compress(count(), map(is_filed, pairs))):
            match(words, i, filed[words[i], words[i + 1]], found)
        bounds: list[int] = []
        odd: set[int] = set()
        for i in compress(count(), map(is_filed, words)):
            word = words[i]
            if word == BOUND:
                bounds.append(i)
            elif word == UNREAD:
                odd.add(len(bounds))
            else:
                match(words, i, filed[word], found)
        # No match reaches from one text into the next, so those of all texts are sorted as one.
        return self._by_text(apart(found), bounds, odd)

    def _by_text(self, found: list[Match], bounds: list[int], odd: set[int]) -> list[Opinion | None]:
        opinions: list[Opinion | None] = []
        at, most = 0, len(found)
        for number, bound in enumerate(islice(bounds, 1, None), 1):
            first = at
            while at < most and found[at][0] < bound:
                at += 1
            opinion = self._opinion(found[first:at]) if at > first else NO_OPINION
            opinions.append(None if number in odd else opinion)
        return opinions

    def _opinion(self, found: list[Match]) -> Opinion:
        key = tuple([match[4].number for match in found])
        opinion = self._opinions.get(key)
        if opinion is None:
            if len(self._opinions) >= _OPINIONS:
                self._opinions.clear()
            opinion = self._opinions[key] = opinion_of([match[4].cue for match in found])
        return opinion
