"""A file of customers, row by row: what each says, or why it says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing

from msgspec import Struct

from pipeline.app.customers.columns import Column, column_of, columns_of
from pipeline.app.customers.reading import Cell, Refused, Taken, taken
from pipeline.app.customers.rows import (
    DELIMITERS,
    Broken,
    Lines,
    Thing,
    csv_rows,
    header_cells,
    is_json,
    json_rows,
)
from pipeline.app.customers.source import Source
from pipeline.core.errors import ConfigError

_SEPARATOR = "sep="


_GUARDED = re.compile("^'(?=[-=+@＝＋－＠])")
"""The apostrophe before what a spreadsheet would take for a formula; our own listings write it."""


class Good(Struct, frozen=True):
    """A row that was taken, and the line where it begins."""

    line: int
    taken: Taken


class Bad(Struct, frozen=True):
    """A row that was refused; ``id`` where it has one."""

    line: int
    id: str
    why: str


class CustomerFile:
    """Reads one file; ``ignored`` are the columns that nobody knows, complete at the end."""

    def __init__(self, source: Source, region: str) -> None:
        self.ignored: dict[str, None] = {}
        self._source = source
        self._region = region

    def rows(self) -> Iterator[Good | Bad]:
        """All rows that are not blank, in order. ConfigError for a file without a header or without rows."""
        name = self._source.name
        with closing(self._source.text()) as text:
            lines = Lines(text, name)
            first = lines.first()
            if is_json(first):
                if first.lstrip()[0] == "[":
                    raise ConfigError(f"{name} is one JSON array: write one object a line (JSON Lines)")
                yield from self._of_json(lines)
            else:
                yield from self._of_csv(lines, first)

    def _of_csv(self, lines: Lines, first: str) -> Iterator[Good | Bad]:
        delimiter = _delimiter(lines, first)
        rows = csv_rows(lines, delimiter)
        header = next(rows, None)
        if header is None or isinstance(header, Broken):
            why = header.why if header else "there is none"
            raise ConfigError(f"{lines.name} has no header that can be read: {why}")
        columns = columns_of(header.cells, lines.name)
        self.ignored.update(
            (name, None)
            for name, column in zip(header.cells, columns, strict=True)
            if column is None and name.strip()
        )
        for row in rows:
            if isinstance(row, Broken):
                yield Bad(row.line, "", row.why)
                continue
            cells = [
                (column, _GUARDED.sub("", cell) if cell[0] == "'" else cell)
                for column, cell in zip(columns, row.cells, strict=False)
                if column and cell
            ]
            extra = row.cells[len(columns) :]
            if extra and any(extra):
                why = f"it has {len(row.cells)} cells, the header {len(columns)}"
                yield Bad(row.line, _id_among(cells), why)
            else:
                yield self._read(row.line, cells)

    def _of_json(self, lines: Lines) -> Iterator[Good | Bad]:
        known: dict[str, Column | None] = {}
        for row in json_rows(lines):
            if isinstance(row, Broken):
                yield Bad(row.line, "", row.why)
                continue
            cells = self._cells(row, known)
            fields = [column.field for column, _ in cells]
            doubled = next(
                (field for field in fields if field not in _MANY and fields.count(field) > 1), None
            )
            if doubled:
                yield Bad(row.line, _id_among(cells), f"two of its names mean `{doubled}`")
            else:
                yield self._read(row.line, cells)

    def _cells(self, row: Thing, known: dict[str, Column | None]) -> list[Cell]:
        cells = []
        for name, value in row.fields.items():
            if name not in known:
                if len(known) >= _MOST_NAMES:
                    continue
                known[name] = column_of(name)
                if known[name] is None:
                    self.ignored[name] = None
            column = known[name]
            if column is not None:
                cells.append((column, value))
        return cells

    def _read(self, line: int, cells: Sequence[Cell]) -> Good | Bad:
        try:
            return Good(line, taken(cells, self._region))
        except Refused as error:
            return Bad(line, error.id, str(error))


_MANY = ("email", "phone", "handle", "account")
# Names that a file of JSON Lines may have before the rest is passed over in silence.
_MOST_NAMES = 10_000


def _id_among(cells: Sequence[Cell]) -> str:
    return next((str(value).strip() for column, value in cells if column.field == "id"), "")


def _delimiter(lines: Lines, first: str) -> str:
    """What Excel says in a line of its own (`sep=;`), else what gives the header the most known names."""
    stripped = first.strip().strip('"')
    if stripped.lower().startswith(_SEPARATOR) and stripped[len(_SEPARATOR) :] in tuple(DELIMITERS):
        next(lines)
        lines.done()
        return stripped[len(_SEPARATOR) :]

    def worth(delimiter: str) -> tuple[int, int]:
        cells = header_cells(first, delimiter)
        return sum(column_of(cell) is not None for cell in cells), len(cells)

    return max(DELIMITERS, key=worth)


class Summary(Struct):
    """How an import went; ``fields`` counts those that were left out."""

    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    refused: int = 0
    repeated: int = 0
    fields: int = 0

    def count(self, what: str, by: int = 1) -> None:
        """One more of what the field ``what`` counts."""
        setattr(self, what, getattr(self, what) + by)
