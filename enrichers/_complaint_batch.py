"""The cues in the texts of a whole batch, the same that `_complaint_scan` finds in them one by one.

What words a token is made of hangs on the token alone, so each token is cut once, and remembered as the signs
of its words. One pass over the signs of the whole batch finds all cues.
"""

from __future__ import annotations

from array import array
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
    """Strings of signs, each once, one behind the other: a batch takes its own from them together."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._signs, self._lengths, self._ends = array("H"), array("q"), array("q")

    def code(self, signs: str) -> int:
        """The number of the string, a new one where it was not there."""
        known = self._codes.get(signs)
        if known is None:
            known = self._codes[signs] = len(self._codes)
            self._signs.frombytes(signs.encode("utf-16-le"))
            self._lengths.append(len(signs))
            self._ends.append(len(self._signs))
        return known

    def joined(self, codes: Codes) -> NDArray[np.uint16]:
        """The signs of these codes in a row."""
        lengths = np.frombuffer(self._lengths, np.int64).take(codes)
        # Each sign's place in the pool lies as far from its place in the row as that of its token's last.
        behind = np.repeat(np.frombuffer(self._ends, np.int64).take(codes) - lengths.cumsum(), lengths)
        found: NDArray[np.uint16] = np.frombuffer(self._signs, "<u2").take(np.arange(len(behind)) + behind)
        return found


class BatchScanner(Coded):
    """Searches batches for the cues of one scanner."""

    def __init__(self, scanner: Scanner) -> None:
        super().__init__()
        self._scanner = scanner

    def forget(self) -> None:
        """Drops all judgements."""
        super().forget()
        self._pool = _Pool()
        for signs in ("", BOUND, UNREAD):
            self._pool.code(signs)

    def judged(self, tokens: list[str]) -> list[int]:
        """Tokens whose words have the same signs have the same code."""
        return [*map(self._pool.code, self._signs_of(tokens))]

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
        row = self._pool.joined(codes)
        signs = row.tobytes().decode("utf-16-le")
        # No match reaches from one text into the next, so those of all texts are sorted as one.
        found = apart(self._scanner.matches(signs))
        bounds = np.flatnonzero(row == ord(BOUND))
        return Cues(
            np.array([match[4][1] for match in found], np.intp),
            owners_of(np.array([match[0] for match in found], np.intp), bounds),
            set(owners_of(np.flatnonzero(row == ord(UNREAD)), bounds).tolist()),
        )
