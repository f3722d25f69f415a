"""What a step knows of the tokens that it has met: of each a small number, its *code*.

A step judges each distinct token once, keeps what matters to it under few codes, and finds these again in all
texts of a batch by one pass without a line of Python, nor a Python object for each: that is what makes the
chain fast. It only holds for judgements that hang on the token alone; whatever spans several tokens is looked
at where such a token was found.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.core import reading
from pipeline.core.reading import MARKS, Reading

Codes = NDArray[np.uint32]
Places = NDArray[np.intp]
Numbers = NDArray[np.float64]

FEW = 8
"""Fewer texts than these are faster judged one by one: to begin with rows takes as long as some texts."""

MANY = 64
"""From so many texts on it is faster to sum up all at once than one after the other, for the same reason."""

_TYPE = "I"


class Coded:
    """The codes of tokens. One thread at a time may use it."""

    MARKS: tuple[int, int, int] = (0, 1, 2)
    """The codes of ``EDGE``, ``START`` and ``UNREAD``; that of ``START`` is of no token."""

    def __init__(self) -> None:
        self._log: list[str] | None = None
        self._strays = 0
        self.forget()

    def codes(self, read: Reading) -> Codes:
        """The codes of all tokens of the reading, in a row."""
        return np.frombuffer(self._known(read), _TYPE).take(np.frombuffer(read.numbers, np.intc))

    def _known(self, read: Reading) -> array[int]:
        """The code of each token of the reading's log, by its number."""
        if not read.vocabulary:
            # A text by itself, outside of a chain: its tokens may well be known, but there are few of them.
            self._strays += len(read.log)
            if self._strays > reading.REMEMBERED:
                self._begin(None)
            return array(_TYPE, (*self.MARKS, *self.judged(read.log[len(MARKS) :])))
        if read.log is not self._log:
            self._begin(read.log)
        fresh = read.log[len(self._row) :]
        if fresh:
            self._row.extend(self.judged(fresh))
        return self._row

    def _begin(self, log: list[str] | None) -> None:
        self.forget()
        self._log, self._strays = log, 0

    def judged(self, tokens: list[str]) -> Iterable[int]:
        """The code of each of the tokens, none of them a mark or longer than ``LONGEST``."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drops all judgements."""
        self._row = array(_TYPE, self.MARKS)


def starts_of(codes: Codes, start: int = Coded.MARKS[1]) -> Places:
    """The places of ``START``: before the first token of each text, and one behind the last text."""
    return np.flatnonzero(codes == start)


def owners_of(places: Places, starts: Places) -> Places:
    """The numbers of the texts in which these places are."""
    return np.searchsorted(starts, places) - 1


def sums_of(owners: Places, numbers: Numbers, texts: int) -> Numbers:
    """The sum for each of so many texts of the numbers that they own, added from left to right."""
    return np.asarray(np.bincount(owners, numbers, texts), np.float64)
