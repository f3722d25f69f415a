"""The texts of a batch cut into tokens once, for all steps; and what a step remembers of tokens it has met.

A *token* is what stands between white space. Most tokens of a batch are old acquaintances, so a step judges
each distinct token once, keeps the few that matter to it, and finds these again in all texts by one pass
without a line of Python: that is what makes the chain fast. It only holds for judgements that hang on the
token alone; whatever spans several tokens is looked at where such a token was found.

Each token has a number, looked up once for all steps: to find a word among a hundred thousand takes several
times as long as to take the n-th of a list, for most of that is in none of the processor's caches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, count, islice
from operator import itemgetter
from typing import Any, Generic, TypeVar

from pipeline.core.portions import portions

Sign = TypeVar("Sign")

EDGE, START, UNREAD = "\n", "\r", "\v"
"""Stand among the tokens for what is none, being white space: before and behind a text, the last of these
before it, and in the place of a token too long to remember."""

LONGEST = 64
"""Characters of a token that is remembered. Longer ones are hardly ever met again."""

REMEMBERED = 100_000
"""Tokens that are remembered, at most: some 10 MB, and a few for each step. Then all begin anew."""

_MARKS = (EDGE, START, UNREAD)
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
        self.log = [*_MARKS]
        self._numbers = defaultdict(count(len(_MARKS)).__next__, zip(_MARKS, count()))
        self._dropped = 0

    def numbers(self, texts: Iterable[str]) -> list[int]:
        """The numbers of all tokens of the texts, with marks between these; of ``UNREAD`` for what is too
        long."""
        if len(self.log) > REMEMBERED:
            self._begin()
        known, log = self._numbers, self.log
        numbers: list[int] = []
        for some in portions(texts, _AT_ONCE):
            tokens: list[str] = []
            for text in some:
                tokens += _BEFORE
                tokens += text.split()
            # Half the time of one look-up after the other, and new ones need no line of Python.
            numbers += itemgetter(*tokens)(known)
        numbers += map(_MARKS.index, _BEFORE)
        fresh = list(islice(reversed(known), len(known) + self._dropped - len(log)))
        fresh.reverse()
        log += fresh
        if fresh and len(max(fresh, key=len)) > LONGEST:
            return self._without(set(filter(_is_long, fresh)), numbers)
        return numbers

    def _without(self, tokens: set[str], numbers: list[int]) -> list[int]:
        """The numbers without those of these tokens, of which only a beginning stays in the log."""
        dropped = set(map(self._numbers.pop, tokens))
        self._dropped += len(dropped)
        for number in dropped:
            self.log[number] = self.log[number][:LONGEST]
        unread = _MARKS.index(UNREAD)
        return [unread if number in dropped else number for number in numbers]


def _is_long(token: str) -> bool:
    return len(token) > LONGEST


class Reading:
    """The tokens of all texts of a batch in a row, each text's behind ``EDGE, EDGE, START``.

    The same three close the row, so that ``START`` number i and the next one enclose text i; whoever looks
    three tokens back or two ahead never sees another text's. ``pick`` takes from a list what stands there for
    each of the tokens, by their numbers in ``log``: that of the vocabulary if one is given, else its own.
    """

    __slots__ = ("_numbers", "log", "pick", "vocabulary")

    def __init__(self, texts: Sequence[str], vocabulary: Vocabulary | None = None) -> None:
        own = vocabulary or Vocabulary()
        self._numbers = own.numbers(texts)
        self.log = own.log
        self.pick: Callable[[Sequence[Any]], tuple[Any, ...]] = itemgetter(*self._numbers)
        self.vocabulary = vocabulary

    def __getitem__(self, place: int) -> str:
        """The token at that place."""
        return self.log[self._numbers[place]]


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


class Acquaintance(Generic[Sign]):
    """What a step knows of the tokens that it has met: a sign of each. Few signs should stand for all tokens,
    so that keeping them costs little. One thread at a time may use it."""

    MARKS: tuple[Sign, Sign, Sign]
    """The signs of ``EDGE``, ``START`` and ``UNREAD``."""

    def __init__(self) -> None:
        self._log: list[str] | None = None
        self._strays = 0
        self.forget()

    def of_each(self, reading: Reading) -> tuple[Sign, ...]:
        """The sign of each of the reading's tokens."""
        if not reading.vocabulary:
            # A text by itself, outside of a chain: its tokens may well be known, but there are few of them.
            self._strays += len(reading.log)
            if self._strays > REMEMBERED:
                self._begin(None)
            return reading.pick([*self.MARKS, *self.signs(reading.log[len(_MARKS) :])])
        if reading.log is not self._log:
            self._begin(reading.log)
        fresh = reading.log[len(self._signs) :]
        if fresh:
            self._signs += self.signs(fresh)
        return reading.pick(self._signs)

    def _begin(self, log: list[str] | None) -> None:
        self.forget()
        self._log, self._strays = log, 0

    def signs(self, tokens: list[str]) -> Iterable[Sign]:
        """The sign of each of the tokens, none of them a mark or longer than ``LONGEST``."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drops all judgements."""
        self._signs: list[Sign] = [*self.MARKS]


class Signs(Acquaintance[str]):
    """An acquaintance whose signs are strings, searched in a row."""

    def joined(self, reading: Reading) -> str:
        """The signs of all tokens of the reading, in a row."""
        return "".join(self.of_each(reading))
