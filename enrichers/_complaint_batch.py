"""The cues in the texts of a whole batch, the same that `_complaint_scan` finds in them one by one.

What words a token is made of hangs on the token alone, so each token is cut once, and remembered as the signs
of its words. One pass over the signs of the whole batch finds all cues.
"""

from __future__ import annotations

from itertools import accumulate, repeat
from sys import intern

from enrichers._complaint_rules import NO_OPINION, Opinion, opinion_of
from enrichers._complaint_scan import BOUND, UNTOLD, Match, Scanner, apart
from pipeline.core.reading import EDGE, START, UNREAD, Acquaintance, Reading

_OPINIONS = 20_000
"""Sets of cues whose opinion is remembered, at most."""

_BETWEEN = "\x01"


class BatchScanner(Acquaintance):
    """Searches batches for the cues of one scanner."""

    def __init__(self, scanner: Scanner) -> None:
        super().__init__()
        self._scanner = scanner
        self._opinions: dict[tuple[int, ...], Opinion] = {}
        self.forget()

    def forget(self) -> None:
        """Drops all judgements."""
        # Few strings stand for all tokens, so that remembering them costs little.
        self._signs: dict[str, str] = {EDGE: "", START: BOUND, UNREAD: UNREAD}

    def learn(self, fresh: set[str]) -> None:
        """Cuts tokens into words, those together in which nothing hangs on what follows."""
        known, signs_of = self._scanner.signs, self._scanner.signs_of
        together = [
            token
            for token in fresh
            if token.isascii() and token.isprintable() and "&" not in token and "://" not in token
        ]
        cut = self._scanner.plain(_BETWEEN.join(together)).split(_BETWEEN)
        for token, words in zip(together, cut, strict=True) if together else ():
            # Most new tokens are one word that tells nothing.
            if words in known:
                self._signs[token] = known[words]
            elif not words.isalpha():
                self._keep(token, signs_of(words.split()))
        for token in fresh.difference(together):
            self._keep(token, signs_of(self._scanner.read(token).words))

    def _keep(self, token: str, signs: str) -> None:
        if signs != UNTOLD:
            self._signs[token] = intern(signs)

    def opinions(self, reading: Reading) -> list[Opinion | None]:
        """What the cues of each text of the reading say, if line breaks are no more than spaces: they end a
        clause. None for texts left to the scanner itself."""
        self.meet(reading)
        signs = "".join(map(self._signs.get, reading.tokens, repeat(UNTOLD)))
        # No match reaches from one text into the next, so those of all texts are sorted as one.
        found = apart(self._scanner.matches(signs))
        texts = signs.split(BOUND)[1:-1]
        opinions: list[Opinion | None] = [NO_OPINION] * len(texts)
        at, most = 0, len(found)
        for number, end in enumerate(accumulate([len(text) + 1 for text in texts], initial=1)):
            first = at
            while at < most and found[at][0] < end:
                at += 1
            if at > first:
                opinions[number - 1] = self._opinion(found[first:at])
        if UNREAD in signs:
            for number, text in enumerate(texts):
                if UNREAD in text:
                    opinions[number] = None
        return opinions

    def _opinion(self, found: list[Match]) -> Opinion:
        key = tuple([match[4][1] for match in found])
        opinion = self._opinions.get(key)
        if opinion is None:
            if len(self._opinions) >= _OPINIONS:
                self._opinions.clear()
            opinion = self._opinions[key] = opinion_of([match[4].cue for match in found])
        return opinion
