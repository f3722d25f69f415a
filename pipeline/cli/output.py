"""Rows as a table for people, as JSON or as CSV: the way in which every command lists things.

What is listed was written by strangers. A table shows nothing that could drive the terminal, and a
CSV cell holds nothing that a spreadsheet would take for a formula. Rows are written as they come.
"""

from __future__ import annotations

import csv
import json
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Literal, TextIO

import msgspec

Format = Literal["table", "json", "csv"]
Row = Mapping[str, object]

SAMPLE = 200
"""Rows of a table that are read ahead to find the widths of its columns."""

_GAP = "  "
_WIDEST = 60  # of a column that is not the last, where no terminal sets a bound
_LEAST = 6
_ROOM = 50  # a column that can stand below the others does so if it would get less
_INDENT = "  "
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_CONTROLS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def write_rows(  # noqa: PLR0913 - each is a matter of its own
    rows: Iterable[Row],
    columns: Sequence[str],
    format: Format,
    out: TextIO,
    *,
    width: int | None = None,
    below: Sequence[str] = (),
) -> int:
    """Writes the ``columns`` of all rows and returns how many rows there were.

    A column is a key of the row, or a path into it such as ``author.handle``. JSON is one array; with
    no columns it holds the rows whole. ``width`` is that of a table in cells of the terminal; None
    means the terminal's own, and no bound where ``out`` is none. ``below`` are columns that stand on a
    line of their own below the others where a table leaves them little room.
    """
    counted = _Counted(rows)
    if format == "json":
        _write_json(counted, columns, out)
    elif format == "csv":
        _write_csv(counted, columns, out)
    else:
        if width is None and out.isatty():
            width = shutil.get_terminal_size().columns
        _write_table(counted, columns, out, width, below)
    return counted.count


class _Counted:
    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = iter(rows)
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def value_at(row: Row, column: str) -> object:
    """The value of a column, None where the row has none. A path through a list gives a list."""
    return row[column] if column in row else _walk(row, column.split("."))


def _walk(value: object, path: Sequence[str]) -> object:
    if not path:
        return value
    if isinstance(value, Mapping):
        return _walk(value.get(path[0]), path[1:])
    if isinstance(value, list | tuple):
        found = [_walk(item, path) for item in value]
        return [item for item in found if item is not None]
    return None


def _write_json(rows: Iterable[Row], columns: Sequence[str], out: TextIO) -> None:
    separator = "[\n"
    for row in rows:
        shown = {column: value_at(row, column) for column in columns} if columns else row
        text = msgspec.json.encode(shown).decode()
        if out.isatty():
            # JSON leaves the upper control characters and the marks of direction as they are.
            text = json.dumps(json.loads(text))
        out.write(separator + text)
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_csv(rows: Iterable[Row], columns: Sequence[str], out: TextIO) -> None:
    clean = plain if out.isatty() else str
    writer = csv.writer(out, lineterminator="\n")
    # The module leaves a carriage return unquoted unless lines end in one; it would start a new row.
    quoting = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    for row in rows:
        cells = [clean(_csv_cell(value_at(row, column))) for column in columns]
        (quoting if any("\r" in cell for cell in cells) else writer).writerow(cells)


def _csv_cell(value: object) -> str:
    text = _text(value)
    is_number = isinstance(value, int | float)
    return f"'{text}" if not is_number and text.startswith(_FORMULA) else text


def _text(value: object) -> str:
    """A value as text: empty for None, the parts of a list with semicolons between them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return "; ".join(_text(item) for item in value)
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return _plain_value(value)


def _plain_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def _write_table(
    rows: Iterable[Row], columns: Sequence[str], out: TextIO, width: int | None, below: Sequence[str]
) -> None:
    waiting = iter(rows)
    head = list(islice(waiting, SAMPLE))
    below = [column for column in columns if column in below]
    if width is None or not below or _have_room(head, columns, below, width):
        below = []
    beside = [column for column in columns if column not in below]
    first = [_table_cells(row, beside) for row in head]
    widths = _widths([beside, *first], width)
    right = [bool(first) and all(_is_number(cells[at]) for cells in first) for at in range(len(beside))]
    titles = dict(zip(columns, columns, strict=True))
    for row in chain([titles], head, waiting):
        padded = [
            fit(cell, size, right=right[at], pad=at < len(beside) - 1 or right[at])
            for at, (cell, size) in enumerate(zip(_table_cells(row, beside), widths, strict=True))
        ]
        out.write(_GAP.join(padded).rstrip() + "\n")
        if below and width is not None:
            text = _GAP.join(filter(None, _table_cells(row, below)))
            out.write((_INDENT + fit(text, width - len(_INDENT), pad=False)).rstrip() + "\n")


def _have_room(rows: Sequence[Row], columns: Sequence[str], below: Sequence[str], width: int) -> bool:
    """Whether the columns get what they want beside the others, or enough to be read."""
    wanted = {
        name: max(map(cells_of, [name, *(_table_cells(row, [name])[0] for row in rows)])) for name in columns
    }
    others = sum(size for name, size in wanted.items() if name not in below) + len(_GAP) * (len(columns) - 1)
    return width - others >= sum(min(wanted[name], _ROOM) for name in below)


def _table_cells(row: Row, columns: Sequence[str]) -> list[str]:
    return [plain(_text(_rounded(value_at(row, column)))) for column in columns]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.3f}"
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _is_number(text: str) -> bool:
    return text == "" or text.lstrip("-").replace(".", "", 1).replace(",", "").isdecimal()


def _widths(lines: Sequence[Sequence[str]], width: int | None) -> list[int | None]:
    """The width of each column; None for a last one without bound. What is too wide gives way first."""
    wanted = [max(map(cells_of, column)) for column in zip(*lines, strict=True)]
    if width is None:
        return [*(min(size, _WIDEST) for size in wanted[:-1]), None]
    room = width - len(_GAP) * (len(wanted) - 1)
    if len(wanted) < 2 or sum(wanted) <= room:
        return list(_shares(wanted, room))
    # The first column names the row, and what it says is typed into the next command.
    first = min(wanted[0], max(_LEAST, room // 2))
    rest = _shares(wanted[1:], room - first)
    return [min(wanted[0], max(first, room - sum(rest))), *rest]


def _shares(wanted: Sequence[int], room: int) -> list[int]:
    """What each column gets of the room: narrow ones stay whole, wide ones share what is left."""
    shares = [min(size, _LEAST) for size in wanted]
    left = room - sum(shares)
    while left > 0 and (short := [at for at, size in enumerate(wanted) if shares[at] < size]):
        more = max(1, left // len(short))
        for at in reversed(short):
            added = min(more, wanted[at] - shares[at], left)
            shares[at] += added
            left -= added
    return shares


def plain(text: str) -> str:
    """The text on one line and without anything that could drive a terminal: control characters,
    line ends, marks of direction, invisible and unassigned characters."""
    if text.isascii() and text.isprintable():
        return text
    kept = []
    for sign in text:
        if sign.isspace() or unicodedata.category(sign) in ("Zl", "Zp"):
            kept.append(" ")
        elif unicodedata.category(sign) not in _CONTROLS:
            kept.append(sign)
    return "".join(kept)


def cells_of(text: str) -> int:
    """How many cells of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(sign: str) -> int:
    if unicodedata.category(sign) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in ("W", "F") else 1


def fit(text: str, width: int | None, *, right: bool = False, pad: bool = True) -> str:
    """The text cut to ``width`` cells, with an ellipsis where something is missing, and padded."""
    if width is None:
        return text
    size = cells_of(text)
    if size > width:
        text, size = _cut(text, width)
    space = " " * (width - size) if pad else ""
    return space + text if right else text + space


def _cut(text: str, width: int) -> tuple[str, int]:
    size, kept = 0, []
    for sign in text:
        if size + _cells(sign) > width - 1:
            break
        kept.append(sign)
        size += _cells(sign)
    return "".join(kept) + "…", size + 1
