"""The texts of a batch cut into tokens once, for all steps; and what a step remembers of tokens it has met.

A *token* is what stands between white space. Most tokens of a batch are old acquaintances, so a step judges
each distinct token once, keeps the few that matter to it, and finds these again in all texts by one pass
without a line of Python: that is what makes the chain fast. It only holds for judgements that hang on the
token alone; whatever spans several tokens is looked at where such a token was found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import accumulate, compress, count
from typing import Any

EDGE, START, UNREAD = "\n", "\r", "\v"
"""Stand among the tokens for what is none, being white space: before and behind a text, the last of these
before it, and in the place of a token too long to remember."""

LONGEST = 64
"""Characters of a token that is remembered. Longer ones are hardly ever met again."""

REMEMBERED = 100_000
"""Tokens that are remembered, at most: some 10 MB, and a few for each step. Then all begin anew."""

_MARKS = (EDGE, START, UNREAD)
_BEFORE = (EDGE, EDGE, START)


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
    """All tokens that a chain has met. ``log`` has them by the readings that brought them, so that each step
    learns each of them once, at its own time."""

    def __init__(self) -> None:
        self.log: list[set[str]] = []
        self._met: set[str] = set(_MARKS)

    def new_among(self, distinct: set[str]) -> set[str]:
        """The tokens that were not met before; all of them where there was no more room."""
        if len(self._met) > REMEMBERED:
            self.log, self._met = [], set(_MARKS)
        return distinct - self._met

    def add(self, fresh: set[str]) -> None:
        """Takes up new tokens."""
        if fresh:
            self._met |= fresh
            self.log.append(fresh)


class Reading:
    """The tokens of all texts of a batch in one list, each text's behind ``EDGE, EDGE, START``.

    The same three close the list, so that ``START`` number i and the next one enclose text i; whoever looks
    three tokens back or two ahead never sees another text's. ``distinct`` are all tokens and marks, ``log``
    is that of the vocabulary which has them all, if there is one.
    """

    __slots__ = ("distinct", "log", "tokens")

    def __init__(self, texts: Iterable[str], vocabulary: Vocabulary | None = None) -> None:
        tokens: list[str] = []
        for text in texts:
            tokens += _BEFORE
            tokens += text.split()
        tokens += _BEFORE
        distinct = set(tokens)
        fresh = vocabulary.new_among(distinct) if vocabulary else distinct
        # Those known are short.
        long = {token for token in fresh if len(token) > LONGEST}
        if long:
            tokens = [UNREAD if token in long else token for token in tokens]
            distinct -= long
            fresh -= long
        self.tokens = tokens
        self.distinct = distinct
        self.log: list[set[str]] | None = None
        if vocabulary:
            vocabulary.add(fresh)
            self.log = vocabulary.log

    def places(self, wanted: Container[str]) -> list[int]:
        """The places of all tokens that are among the wanted ones."""
        return list(compress(count(), map(wanted.__contains__, self.tokens)))

    def by_text(self, wanted: Container[str]) -> dict[int, list[str]]:
        """The wanted tokens of each text that has any, by its number. ``wanted`` must have ``START``."""
        found: dict[int, list[str]] = {}
        text = -1
        for token in filter(wanted.__contains__, self.tokens):
            if token == START:
                text += 1
            else:
                found.setdefault(text, []).append(token)
        return found


class Columns(dict[str, Any]):
    """The columns of a batch by name; steps get the reading of its posts' texts from `reading_of`."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], vocabulary: Vocabulary | None = None) -> None:
        super().__init__(columns)
        self._vocabulary = vocabulary
        self._reading: Reading | None = None

    def __setitem__(self, name: str, column: Sequence[Any]) -> None:
        if name == "post":
            self._reading = None
        super().__setitem__(name, column)

    @property
    def reading(self) -> Reading:
        """The reading of the posts' texts, made when a step first asks for it."""
        if self._reading is None:
            self._reading = Reading([post.text for post in self["post"]], self._vocabulary)
        return self._reading


def reading_of(columns: Mapping[str, Sequence[Any]]) -> Reading:
    """The reading of the texts of the column ``post``: the batch's own, which all its steps share, if it is
    at hand."""
    return columns.reading if isinstance(columns, Columns) else Columns(columns).reading


class Acquaintance:
    """What a step knows of the tokens that it has met. One thread at a time may use it."""

    def __init__(self) -> None:
        self._log: list[set[str]] | None = None
        self._learnt = 0
        self._strays = 0

    def meet(self, reading: Reading) -> None:
        """Judges the tokens that are new; afterwards all of the reading's are known."""
        if reading.log is None:
            # A text by itself, outside of a chain: its tokens may well be known, but there are few of them.
            self._strays += len(reading.distinct)
            if self._strays > REMEMBERED:
                self._begin(None)
            self.learn(reading.distinct.difference(_MARKS))
            return
        if reading.log is not self._log:
            self._begin(reading.log)
        for fresh in reading.log[self._learnt :]:
            self.learn(fresh)
        self._learnt = len(reading.log)

    def _begin(self, log: list[set[str]] | None) -> None:
        self.forget()
        self._log, self._learnt, self._strays = log, 0, 0

    def learn(self, fresh: set[str]) -> None:
        """Judges tokens, none of them a mark or longer than ``LONGEST``; once more if need be."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drops all judgements."""
        raise NotImplementedError
