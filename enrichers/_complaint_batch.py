"""The cues in the texts of a whole batch, the same that `_complaint_scan` finds in them one by one.

What words a token is made of hangs on the token alone, so each token is cut once, and remembered as the signs
of its words. One pass over the signs of the whole batch finds all cues.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enrichers._codes import Coded, Codes, Places, owners_of
from enrichers._complaint_scan import BOUND, PARTING, Scanner, apart
from pipeline.core.reading import UNREAD, Reading

_BETWEEN = f" {PARTING} "


class Cues(NamedTuple):
    """The cues of a batch from left to right: their numbers in the scanner's list, and those of the texts
    that they are in. ``unread`` are the texts left to the scanner itself."""

    numbers: Places
    owners: Places
    unread: set[int]


class _Pool:
    """All strings of signs in one, to take them from together."""

    def __init__(self) -> None:
        self._signs: NDArray[np.uint16] = np.empty(0, np.uint16)
        self._lengths = self._ends = np.empty(0, np.intp)

    def joined(self, codes: Codes, known: Collection[str]) -> NDArray[np.uint16]:
        """The signs of these codes in a row, which are places among all that are ``known``."""
        if len(known) > len(self._lengths):
            self._signs = np.frombuffer("".join(known).encode("utf-16-le"), np.uint16)
            self._lengths = np.array([*map(len, known)], np.intp)
            self._ends = self._lengths.cumsum()
        lengths = self._lengths.take(codes)
        ends = lengths.cumsum()
        # Each sign's place in the pool lies as far from its place in the row as that of its token's last.
        behind = np.repeat(self._ends.take(codes) - ends, lengths)
        found: NDArray[np.uint16] = self._signs.take(np.arange(len(behind)) + behind)
        return found


class BatchScanner(Coded):
    """Searches batches for the cues of one scanner."""

    def __init__(self, scanner: Scanner) -> None:
        super().__init__()
        self._scanner = scanner

    def forget(self) -> None:
        """Drops all judgements."""
        super().forget()
        # The signs of a token's words; tokens with the same ones have the same code.
        self._codes = {"": 0, BOUND: 1, UNREAD: 2}
        self._pool = _Pool()

    def judged(self, tokens: list[str]) -> list[int]:
        """The codes of the signs of each token's words."""
        codes = self._codes
        return [codes.setdefault(signs, len(codes)) for signs in self._signs_of(tokens)]

    def _signs_of(self, tokens: list[str]) -> list[str]:
        """They are cut together where nothing hangs on what follows."""
        scanner = self._scanner
        together = [
            token
            if token.isascii() and "&" not in token and "://" not in token and token.isprintable()
            else ""
            for token in tokens
        ]
        words = scanner.plain(_BETWEEN.join(together)).split()
        signs = scanner.signs_of(words).split(PARTING)[: len(tokens)]
        for i, token in enumerate(together):
            if not token:
                signs[i] = scanner.signs_of(scanner.read(tokens[i]).words)
        return signs

    def cues(self, reading: Reading) -> Cues:
        """The cues in all texts of the reading, if line breaks are no more than spaces: they end a clause."""
        codes = self.codes(reading)
        row = self._pool.joined(codes, self._codes)
        signs = row.tobytes().decode("utf-16-le")
        # No match reaches from one text into the next, so those of all texts are sorted as one.
        found = apart(self._scanner.matches(signs))
        bounds = np.flatnonzero(row == ord(BOUND))
        return Cues(
            np.array([match[4][1] for match in found], np.intp),
            owners_of(np.array([match[0] for match in found], np.intp), bounds),
            set(owners_of(np.flatnonzero(row == ord(UNREAD)), bounds).tolist()),
        )
