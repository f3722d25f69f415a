"""Rows as tables, JSON and CSV: they fit, they can be read back, and no stranger's text acts."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.output import cells_of, fit, plain, write_rows

ROWS: list[dict[str, object]] = [
    {"id": "x:1", "score": 0.123456, "n": 3, "author": {"handle": "ann"}, "text": "hello"},
    {"id": "x:22", "score": -1.0, "n": 12, "tags": ["a", "b"], "text": "two\nlines"},
]


class Terminal(io.StringIO):
    """Text that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def written(
    rows: Any, columns: list[str], format: Any, out: io.StringIO | None = None, **options: Any
) -> str:
    out = out or io.StringIO()
    write_rows(rows, columns, format, out, **options)
    return out.getvalue()


def test_a_table() -> None:
    assert written(ROWS, ["id", "score", "n", "author.handle", "tags", "text"], "table").splitlines() == [
        "id     score   n  author.handle  tags  text",
        "x:1    0.123   3  ann                  hello",
        "x:22  -1.000  12                 a; b  two lines",
    ]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_table_fits_its_terminal(width: int) -> None:
    wide = [{"id": "x:1", "text": "漢字 " * 50}, {"id": "x:" + "9" * 60, "text": "😡" * 99}]
    for line in written(wide, ["id", "text"], "table", width=width).splitlines():
        assert cells_of(line) <= width


def test_narrow_columns_stay_whole_where_a_wide_one_gives_way() -> None:
    rows = [{"id": "x:1", "handle": "ann", "text": "word " * 100}]
    line = written(rows, ["id", "handle", "text"], "table", width=40).splitlines()[1]
    assert line.startswith("x:1  ann     word word")
    assert line.endswith("…")


def test_the_name_of_a_row_stays_whole_where_it_leaves_half_of_the_terminal() -> None:
    rows = [{"id": "x:2118803200013305998", "at": "2026-11-06T20:30:23Z", "text": "word " * 9}]
    for width in (60, 80):
        line = written(rows, ["id", "at", "text"], "table", width=width).splitlines()[1]
        assert line.startswith("x:2118803200013305998  ")
        assert cells_of(line) <= width


def test_columns_of_one_width_give_way_alike() -> None:
    rows = [{"id": "x", "one": "a" * 22, "two": "b" * 22}]
    assert written(rows, ["id", "one", "two"], "table", width=25).splitlines()[1] == (
        "x   aaaaaaaa…  bbbbbbbbb…"
    )


def test_a_long_column_stands_below_where_there_is_no_room_beside() -> None:
    rows = [
        {"id": "x:1", "at": "2026-11-06T20:30:23Z", "text": "word " * 30},
        {"id": "x:2", "at": "", "text": ""},
    ]
    lines = written(rows, ["id", "at", "text"], "table", width=60, below=["text"]).splitlines()
    assert lines[:3] == ["id   at", "  text", "x:1  2026-11-06T20:30:23Z"]
    assert lines[3].startswith("  word word")
    assert cells_of(lines[3]) == 60
    assert lines[4:] == ["x:2", ""]
    for width in (None, 100):
        wide = written(rows, ["id", "at", "text"], "table", width=width, below=["text"]).splitlines()
        assert len(wide) == 3, "beside the others where there is room, and where nothing is cut"
    assert written(rows, ["id"], "table", width=60, below=["text"]).splitlines() == ["id", "x:1", "x:2"]


def test_several_columns_below_share_their_line() -> None:
    rows = [{"id": "LW-1", "mail": "ann@example.org", "phone": "", "handle": "x @ann", "value": 3.0}]
    columns = ["id", "mail", "phone", "handle", "value"]
    below = ["mail", "phone", "handle"]
    assert written(rows, columns, "table", width=30, below=below).splitlines() == [
        "id    value",
        "  mail  phone  handle",
        "LW-1  3.000",
        "  ann@example.org  x @ann",
    ]
    assert len(written(rows, columns, "table", width=80, below=below).splitlines()) == 2


def test_many_rows_stream() -> None:
    def rows() -> Any:
        for n in range(1000):
            yield {"n": n, "text": "x" * n}

    assert len(written(rows(), ["n", "text"], "table", width=30).splitlines()) == 1001


EVIL = "\x1b[2J\x1b]0;pwned\x07 \u202eevil\u2066 \x9b31m a\u2028b\u200b\r\nc\x00"


def test_a_text_cannot_drive_the_terminal() -> None:
    for format in ("table", "json", "csv"):
        out = Terminal()
        write_rows([{"text": EVIL}], ["text"], format, out)  # type: ignore[arg-type]
        for sign in "\x1b\x07\u202e\u2066\x9b\u2028\u200b\x00\r":
            assert sign not in out.getvalue(), format


@given(st.text())
def test_plain_is_one_line_of_visible_signs(text: str) -> None:
    assert "\n" not in plain(text)
    assert all(sign.isprintable() for sign in plain(text))
    assert plain(plain(text)) == plain(text)


@given(st.text(), st.integers(1, 30))
def test_fit_gives_the_width(text: str, width: int) -> None:
    assert cells_of(fit(plain(text), width)) == width


def test_json_is_one_array_of_the_chosen_columns_or_of_whole_rows() -> None:
    assert json.loads(written(ROWS, [], "json")) == ROWS
    assert json.loads(written(ROWS, ["id", "author.handle"], "json"))[1] == {
        "id": "x:22",
        "author.handle": None,
    }
    assert written([], ["id"], "json") == "[]\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_cell_is_a_formula(start: str) -> None:
    [_, [cell, _]] = csv.reader(
        io.StringIO(written([{"a": f"{start}1+1", "b": 1}], ["a", "b"], "csv"), newline="")
    )
    assert cell.startswith("'")


def test_numbers_and_dates_stay_what_they_are() -> None:
    row = {"n": -5, "x": -0.25, "flag": True, "none": None, "at": datetime(2026, 1, 2, tzinfo=UTC)}
    assert written([row], list(row), "csv") == "n,x,flag,none,at\n-5,-0.25,true,,2026-01-02T00:00:00Z\n"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_csv_reads_back(texts: list[str]) -> None:
    columns = [f"c{n}" for n in range(len(texts))]
    raw = written([dict(zip(columns, texts, strict=True))], columns, "csv")
    [_, cells] = csv.reader(io.StringIO(raw, newline=""))
    for cell, text in zip(cells, texts, strict=True):
        assert cell in (text, f"'{text}")


def test_the_number_of_rows_is_returned() -> None:
    assert write_rows(iter(ROWS), ["id"], "csv", io.StringIO()) == 2


def test_paths_go_through_lists_of_objects() -> None:
    row = {"entities": [{"id": "a"}, {"name": "b"}, {"id": "c"}]}
    assert written([row], ["entities.id"], "csv") == "entities.id\na; c\n"
