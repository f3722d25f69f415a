"""The cues in the texts of a whole batch, the same that `_complaint_scan` finds in them one by one.

What words a token is made of hangs on the token alone, so each token is cut once, and remembered as the signs
of its words. One pass over the signs of the whole batch finds all cues.
"""

from __future__ import annotations

from itertools import accumulate
from sys import intern

from enrichers._complaint_rules import NO_OPINION, Opinion, opinion_of
from enrichers._complaint_scan import BOUND, PARTING, Match, Scanner, apart
from pipeline.core.reading import UNREAD, Reading, Signs

_OPINIONS = 20_000
"""Rows of cues whose opinion is remembered, at most."""

_BETWEEN = f" {PARTING} "


class BatchScanner(Signs):
    """Searches batches for the cues of one scanner."""

    MARKS = ("", BOUND, UNREAD)

    def __init__(self, scanner: Scanner) -> None:
        super().__init__()
        self._scanner = scanner
        self._families = [cue.family for cue in scanner.cues]
        self._kinds = [f"{cue.family} {cue.category}" for cue in scanner.cues]
        # By the kinds of the cues; by the cues themselves where one family has several.
        self._opinions: dict[tuple[str, ...] | tuple[int, ...], Opinion] = {}

    def signs(self, tokens: list[str]) -> list[str]:
        """The signs of each token's words. They are cut together where nothing hangs on what follows."""
        scanner = self._scanner
        together = [
            token
            if token.isascii() and "&" not in token and "://" not in token and token.isprintable()
            else ""
            for token in tokens
        ]
        words = scanner.plain(_BETWEEN.join(together)).split()
        signs = list(map(intern, scanner.signs_of(words).split(PARTING)))[: len(tokens)]
        for i, token in enumerate(together):
            if not token:
                signs[i] = intern(scanner.signs_of(scanner.read(tokens[i]).words))
        return signs

    def opinions(self, reading: Reading) -> list[Opinion | None]:
        """What the cues of each text of the reading say, if line breaks are no more than spaces: they end a
        clause. None for texts left to the scanner itself."""
        signs = self.joined(reading)
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
        cues = [match[4][1] for match in found]
        kinds = tuple([self._kinds[cue] for cue in cues])
        known = self._opinions.get(kinds) or self._opinions.get(tuple(cues))
        return known or self._new_opinion(kinds, cues)

    def _new_opinion(self, kinds: tuple[str, ...], cues: list[int]) -> Opinion:
        if len(self._opinions) >= _OPINIONS:
            self._opinions.clear()
        opinion = opinion_of([self._scanner.cues[cue] for cue in cues])
        # Whether a second cue of a family counts hangs on its words.
        once = len({self._families[cue] for cue in cues}) == len(cues)
        self._opinions[kinds if once else tuple(cues)] = opinion
        return opinion
