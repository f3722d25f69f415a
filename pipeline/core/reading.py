"""The texts of a batch cut into tokens once, for all steps, and these numbered.

A *token* is what stands between white space. Most tokens of a batch are old acquaintances: each has a number,
looked up once for all steps, for to find a word among a hundred thousand takes several times as long as to
take the n-th of a row. What a step remembers of tokens by these numbers is its own (`enrichers._codes`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, count, islice
from operator import itemgetter
from typing import Any

from pipeline.core.portions import portions

EDGE, START, UNREAD = "\n", "\r", "\v"
"""Stand among the tokens for what is none, being white space: before and behind a text, the last of these
before it, and in the place of a token too long to remember."""

LONGEST = 64
"""Characters of a token that is remembered. Longer ones are hardly ever met again."""

REMEMBERED = 100_000
"""Tokens that are remembered, at most: some 10 MB, and a few for each step. Then all begin anew."""

MARKS = (EDGE, START, UNREAD)
"""Their places are their numbers."""
_BEFORE = (EDGE, EDGE, START)

_AT_ONCE = 64
"""Texts whose tokens are looked up together, while they still are in the processor's caches."""


def holding(tokens: Sequence[str], words: str, wanted: Iterable[str], begun: Iterable[str] = ()) -> list[str]:
    """The tokens with a wanted word, or one that is ``begun`` so. ``words`` are those of the tokens between
    spaces, each at its place in the tokens joined by spaces. Looks for the few such words that are there, not
    at each token."""
    padded, place = f" {words} ", 0
    ends: list[int] = []
    found: set[int] = set()
    for sought in (*(f" {word} " for word in wanted), *(f" {start}" for start in begun)):
        place = padded.find(sought)
        while place >= 0:
            if not ends:
                ends = list(accumulate([len(token) + 1 for token in tokens]))
            found.add(bisect_right(ends, place))
            place = padded.find(sought, place + 1)
    return [tokens[number] for number in found]


class Vocabulary:
    """All tokens that a chain has met. ``log`` has them by their numbers, behind the marks: each step learns
    each of them once, at its own time. Another log takes the place of one that is full."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self.log = [*MARKS]
        self._numbers = defaultdict(count(len(MARKS)).__next__, zip(MARKS, count()))
        self._dropped = 0

    def numbers(self, texts: Iterable[str]) -> array[int]:
        """The numbers of all tokens of the texts, with marks between these; of ``UNREAD`` for what is too
        long."""
        if len(self.log) > REMEMBERED:
            self._begin()
        known, log = self._numbers, self.log
        numbers = array("i")
        for some in portions(texts, _AT_ONCE):
            tokens: list[str] = []
            for text in some:
                tokens += _BEFORE
                tokens += text.split()
            # Half the time of one look-up after the other, and new ones need no line of Python.
            numbers += array("i", itemgetter(*tokens)(known))
        numbers.extend(map(MARKS.index, _BEFORE))
        fresh = list(islice(reversed(known), len(known) + self._dropped - len(log)))
        fresh.reverse()
        log += fresh
        if fresh and len(max(fresh, key=len)) > LONGEST:
            return self._without(set(filter(_is_long, fresh)), numbers)
        return numbers

    def _without(self, tokens: set[str], numbers: array[int]) -> array[int]:
        """The numbers without those of these tokens, of which only a beginning stays in the log."""
        dropped = set(map(self._numbers.pop, tokens))
        self._dropped += len(dropped)
        for number in dropped:
            self.log[number] = self.log[number][:LONGEST]
        unread = MARKS.index(UNREAD)
        return array("i", [unread if number in dropped else number for number in numbers])


def _is_long(token: str) -> bool:
    return len(token) > LONGEST


class Reading:
    """The tokens of all texts of a batch in a row, each text's behind ``EDGE, EDGE, START``.

    The same three close the row, so that ``START`` number i and the next one enclose text i; whoever looks
    three tokens back or two ahead never sees another text's. ``numbers`` are those of the tokens in ``log``,
    that of the vocabulary if one is given, else its own.
    """

    __slots__ = ("log", "numbers", "vocabulary")

    def __init__(self, texts: Sequence[str], vocabulary: Vocabulary | None = None) -> None:
        own = vocabulary or Vocabulary()
        self.numbers = own.numbers(texts)
        self.log = own.log
        self.vocabulary = vocabulary

    def __getitem__(self, place: int) -> str:
        """The token at that place."""
        return self.log[self.numbers[place]]


class Columns(dict[str, Any]):
    """The columns of a batch by name; steps get the reading of its posts' texts from `reading_of`."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], vocabulary: Vocabulary | None = None) -> None:
        super().__init__(columns)
        self.vocabulary = vocabulary
        self._reading: Reading | None = None

    def __setitem__(self, name: str, column: Sequence[Any]) -> None:
        if name == "post":
            self._reading = None
        super().__setitem__(name, column)

    @property
    def reading(self) -> Reading:
        """The reading of the posts' texts, made when a step first asks for it."""
        if self._reading is None:
            self._reading = Reading([post.text for post in self["post"]], self.vocabulary)
        return self._reading


def reading_of(columns: Mapping[str, Sequence[Any]]) -> Reading:
    """The reading of the texts of the column ``post``: the batch's own, which all its steps share, if it is
    at hand."""
    return columns.reading if isinstance(columns, Columns) else Columns(columns).reading
