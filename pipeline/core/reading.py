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
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import accumulate, compress, count
from operator import itemgetter
from typing import Any, ClassVar

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
        self._numbers = _Numbers(self.log)

    def numbers(self, tokens: Iterable[str]) -> list[int]:
        """The number of each token, of ``UNREAD`` for those that are too long."""
        if len(self.log) > REMEMBERED:
            self._begin()
        return list(map(self._numbers.__getitem__, tokens))


class _Numbers(dict[str, int]):
    """The numbers of tokens; a new one for each that has none."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(zip(log, count()))
        self._log = log

    def __missing__(self, token: str) -> int:
        if len(token) > LONGEST:
            return _MARKS.index(UNREAD)
        self[token] = number = len(self._log)
        self._log.append(token)
        return number


class Reading:
    """The tokens of all texts of a batch in one list, each text's behind ``EDGE, EDGE, START``.

    The same three close the list, so that ``START`` number i and the next one enclose text i; whoever looks
    three tokens back or two ahead never sees another text's. ``pick`` takes from a list what stands there for
    each of the tokens, by their numbers in ``log``: that of the vocabulary if one is given, else its own.
    """

    __slots__ = ("log", "pick", "tokens", "vocabulary")

    def __init__(self, texts: Iterable[str], vocabulary: Vocabulary | None = None) -> None:
        tokens: list[str] = []
        for text in texts:
            tokens += _BEFORE
            tokens += text.split()
        tokens += _BEFORE
        own = vocabulary or Vocabulary()
        numbers = own.numbers(tokens)
        unread = _MARKS.index(UNREAD)
        if unread in numbers:
            tokens = [
                UNREAD if number == unread else token for number, token in zip(numbers, tokens, strict=True)
            ]
        self.tokens = tokens
        self.log = own.log
        self.pick: Callable[[Sequence[str]], tuple[str, ...]] = itemgetter(*numbers)
        self.vocabulary = vocabulary

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


class Acquaintance:
    """What a step knows of the tokens that it has met. One thread at a time may use it."""

    def __init__(self) -> None:
        self._log: list[str] | None = None
        self._learnt = 0
        self._strays = 0

    def meet(self, reading: Reading) -> None:
        """Judges the tokens that are new; afterwards all of the reading's are known."""
        if not reading.vocabulary:
            # A text by itself, outside of a chain: its tokens may well be known, but there are few of them.
            self._stray(reading)
            self.learn(set(reading.log[len(_MARKS) :]))
            return
        fresh = self._news(reading)
        if fresh:
            self.learn(set(fresh))

    def _news(self, reading: Reading) -> list[str]:
        """The tokens of the vocabulary that are new."""
        if reading.log is not self._log:
            self._begin(reading.log)
        fresh = reading.log[self._learnt :]
        self._learnt += len(fresh)
        return fresh

    def _stray(self, reading: Reading) -> None:
        self._strays += len(reading.log)
        if self._strays > REMEMBERED:
            self._begin(None)

    def _begin(self, log: list[str] | None) -> None:
        self.forget()
        self._log, self._learnt, self._strays = log, len(_MARKS), 0

    def learn(self, fresh: set[str]) -> None:
        """Judges tokens, none of them a mark or longer than ``LONGEST``; once more if need be."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drops all judgements."""
        raise NotImplementedError


class Signs(Acquaintance):
    """An acquaintance that keeps a string for each token. Few strings should stand for all tokens, so that
    keeping them costs little."""

    MARKS: ClassVar[tuple[str, str, str]]
    """The strings of ``EDGE``, ``START`` and ``UNREAD``."""

    def __init__(self) -> None:
        super().__init__()
        self.forget()

    def joined(self, reading: Reading) -> str:
        """The strings of all tokens of the reading, in a row."""
        if reading.vocabulary:
            fresh = self._news(reading)
            if fresh:
                self._signs += self.signs(fresh)
            return "".join(reading.pick(self._signs))
        self._stray(reading)
        return "".join(reading.pick([*self.MARKS, *self.signs(reading.log[len(_MARKS) :])]))

    def signs(self, tokens: list[str]) -> Iterable[str]:
        """The string of each of the tokens, none of them a mark or longer than ``LONGEST``."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drops all judgements."""
        self._signs = [*self.MARKS]
