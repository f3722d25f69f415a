"""The texts of a batch cut into tokens once, for all steps; and what a step remembers of tokens it has met.

A *token* is what stands between white space. Most tokens of a batch are old acquaintances, so a step judges
each distinct token once, keeps the few that matter to it, and finds these again in all texts by one pass
without a line of Python: that is what makes the chain fast. It only holds for judgements that hang on the
token alone; whatever spans several tokens is looked at where such a token was found.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import compress, count
from typing import Any

EDGE, START, UNREAD = "\n", "\r", "\v"
"""Stand among the tokens for what is none, being white space: before and behind a text, the last of these
before it, and in the place of a token too long to remember."""

LONGEST = 64
"""Characters of a token that is remembered. Longer ones are hardly ever met again."""

REMEMBERED = 100_000
"""Tokens that one step remembers, at most: some 10 MB. Then it begins anew."""

_MARKS = frozenset((EDGE, START, UNREAD))
_BEFORE = (EDGE, EDGE, START)


class Reading:
    """The tokens of all texts of a batch in one list, each text's behind ``EDGE, EDGE, START``.

    The same three close the list, so that ``START`` number i and the next one enclose text i; whoever looks
    three tokens back or two ahead never sees another text's. ``distinct`` are all tokens and marks.
    """

    __slots__ = ("distinct", "tokens")

    def __init__(self, texts: Iterable[str]) -> None:
        tokens: list[str] = []
        for text in texts:
            tokens += _BEFORE
            tokens += text.split()
        tokens += _BEFORE
        distinct = set(tokens)
        if len(max(distinct, key=len)) > LONGEST:
            tokens = [token if len(token) <= LONGEST else UNREAD for token in tokens]
            distinct = set(tokens)
        self.tokens = tokens
        self.distinct = distinct

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

    _reading: Reading | None = None

    def __setitem__(self, name: str, column: Sequence[Any]) -> None:
        if name == "post":
            self._reading = None
        super().__setitem__(name, column)

    @property
    def reading(self) -> Reading:
        """The reading of the posts' texts, made when a step first asks for it."""
        if self._reading is None:
            self._reading = Reading([post.text for post in self["post"]])
        return self._reading


def reading_of(columns: Mapping[str, Sequence[Any]]) -> Reading:
    """The reading of the texts of the column ``post``: the batch's own, which all its steps share, if it is
    at hand."""
    return columns.reading if isinstance(columns, Columns) else Columns(columns).reading


class Acquaintance:
    """What a step knows of the tokens that it has met. One thread at a time may use it."""

    def __init__(self) -> None:
        self._met: set[str] = set(_MARKS)

    def meet(self, reading: Reading) -> None:
        """Judges the tokens that are new; afterwards all of the reading's are known."""
        fresh = reading.distinct - self._met
        if not fresh:
            return
        if len(self._met) > REMEMBERED:
            self._met = set(_MARKS)
            self.forget()
            fresh = reading.distinct - self._met
        self.learn(fresh)
        self._met |= fresh

    def learn(self, fresh: set[str]) -> None:
        """Judges tokens that were not met before, none of them longer than ``LONGEST``."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drops all judgements."""
        raise NotImplementedError
