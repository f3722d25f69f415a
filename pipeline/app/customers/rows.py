"""The rows of a file of customers, CSV or JSON Lines, with their line numbers; bad ones are told, and passed.

Bounded in memory whatever the input. A row whose quotation mark is never closed costs that row alone: the
lines behind it are read again as rows of their own. Knows nothing of what columns mean.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import msgspec
from msgspec import Struct

from pipeline.core.errors import ConfigError, FatalError

MAX_ROW = 1024 * 1024
"""Characters of a row."""

DELIMITERS = ",;\t|"


class Row(Struct, frozen=True):
    """``line`` is where it begins, counted from 1."""

    line: int
    cells: list[str]


class Thing(Struct, frozen=True):
    """A JSON object, one a line."""

    line: int
    fields: dict[str, Any]


class Broken(Struct, frozen=True):
    """A row that cannot be read."""

    line: int
    why: str


class _BadLine(Exception):
    pass


class Lines:
    """The lines of a text, which may be given back. ``name`` stands in messages."""

    def __init__(self, text: TextIO, name: str) -> None:
        self.name = name
        self.number = 0
        self._text = text
        self._taken: list[str] = []
        self._again: deque[str] = deque()
        self._size = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._fresh()
        if not line:
            raise StopIteration
        self.number += 1
        self._taken.append(line)
        self._size += len(line)
        if self._size > MAX_ROW:
            raise _BadLine(f"it has more than {MAX_ROW:,} characters; is a quotation mark not closed?")
        if "\0" in line:
            raise _BadLine("it holds a NUL byte")
        return line

    def _fresh(self) -> str:
        """The next line; of one that is too long, enough to see that."""
        try:
            line = self._text.readline(MAX_ROW + 1)
            more = line
            while len(more) > MAX_ROW and more[-1] not in "\r\n":
                more = self._text.readline(MAX_ROW + 1)
        except UnicodeDecodeError:
            raise FatalError(f"{self.name} was changed while it was read: import it again") from None
        return line

    def first(self) -> str:
        """The first line that is not blank, to be read once more; as much of it as may be. ConfigError where
        there is none."""
        for line in self._readable():
            if line.strip():
                self.give_back()
                return line
            self.done()
        raise ConfigError(f"{self.name} is empty")

    def _readable(self) -> Iterator[str]:
        try:
            yield from self
        except _BadLine:
            # Whoever reads the row will say what is wrong with it.
            yield self._taken[-1]

    def done(self) -> None:
        """What was taken makes a row."""
        self._taken.clear()
        self._size = 0

    def give_back(self) -> None:
        """What was taken is given again."""
        self._again.extendleft(reversed(self._taken))
        self.number -= len(self._taken)
        self.done()

    def only_first(self) -> None:
        """What was taken makes no row: all but its first line are given back."""
        del self._taken[:1]
        self.give_back()


def is_json(first: str) -> bool:
    """Whether the first line that is not blank begins JSON."""
    return first.lstrip()[:1] in ("{", "[")


def csv_rows(lines: Lines, delimiter: str) -> Iterator[Row | Broken]:
    """All rows that are not blank, the header among them."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _BadLine) as error:
            lines.only_first()
            yield Broken(line, _plain(error))
            continue
        lines.done()
        if any(cells):
            yield Row(line, cells)


def _plain(error: Exception) -> str:
    said = str(error)
    if "field larger" in said:
        return f"a cell has more than {csv.field_size_limit():,} characters; is a quotation mark not closed?"
    if "unexpected end" in said or "expected after" in said:
        return "its quotation marks do not match: one is not closed, or one within a cell is not doubled"
    return said


def header_cells(line: str, delimiter: str) -> Sequence[str]:
    """The cells of one line, none where they cannot be read."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def json_rows(lines: Lines) -> Iterator[Thing | Broken]:
    """All objects; a line that holds anything else is broken."""
    decode = msgspec.json.Decoder().decode
    while True:
        try:
            text = next(lines)
        except StopIteration:
            return
        except _BadLine as error:
            yield Broken(lines.number, str(error))
            lines.only_first()
            continue
        lines.done()
        if not text.strip():
            continue
        try:
            found = decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
            yield Broken(lines.number, f"no JSON: {error}")
            continue
        if isinstance(found, dict):
            yield Thing(lines.number, found)
        else:
            yield Broken(lines.number, "no JSON object")
