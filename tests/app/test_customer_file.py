"""Files of customers as people send them: forms, encodings, broken rows. Pure, from bytes to customers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import threading
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.app.customers.file import Bad, CustomerFile, Good
from pipeline.app.customers.reading import Note
from pipeline.app.customers.rows import Broken, Lines, Row, csv_rows
from pipeline.app.customers.source import Source, encoding_of
from pipeline.core.customer import Account, Customer, decode_customer, encode_customer
from pipeline.core.errors import ConfigError, FatalError

Read = Callable[[bytes | str], list[Good | Bad]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """All rows of a file with that content."""

    def rows(content: bytes | str) -> list[Good | Bad]:
        path = tmp_path / "customers"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        source = Source(str(path))
        try:
            return list(CustomerFile(source, "US").rows())
        finally:
            source.close()

    return rows


def customers(rows: list[Good | Bad]) -> list[Customer | None]:
    """What the good rows say; AssertionError where one is bad."""
    assert all(isinstance(row, Good) for row in rows), rows
    return [row.taken.customer for row in rows if isinstance(row, Good)]


def only(rows: list[Good | Bad]) -> Customer:
    (customer,) = customers(rows)
    assert customer is not None
    return customer


ANN = Customer(
    id="7",
    name="Ann Müller",
    emails=("ann@x.org", "ann@y.org"),
    phones=("+12025550104",),
    accounts=(
        Account("x", "ann_b"),
        Account("reddit", id="reddit:t2_9"),
        Account("mastodon", "ann@funk.example"),
    ),
    segment="vip",
    value=1056.0,
    since=date(2021, 3, 15),
    consent=True,
)
HEADER = "Customer Number;name;E-Mail;telephone;Twitter;reddit;mastodon;segment;value;since;consent"
LINE = '7;Ann Müller;"Ann@x.org; ann@y.org";(202) 555-0104;https://x.com/Ann_B;reddit:t2_9;@Ann@funk.example;vip;'
LINE += '"1.056,00 €";2021-03-15;yes'


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_one_customer_in_every_encoding(read: Read, codec: str, end: str) -> None:
    assert only(read(f"{HEADER}{end}{LINE}{end}".encode(codec))) == ANN


def test_packed_with_other_delimiters_and_as_excel_begins_it(read: Read) -> None:
    text = f"{HEADER}\n{LINE}\n"
    assert only(read(gzip.compress(text.encode()))) == ANN
    assert only(read(f"\nsep=;\n{text}")) == ANN
    cells = [next(csv.reader([line], delimiter=";")) for line in text.splitlines()]
    for delimiter in ",\t|":
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter).writerows(cells)
        assert only(read(out.getvalue())) == ANN


def test_json_lines_with_lists_and_in_the_exact_form(read: Read) -> None:
    loose: dict[str, Any] = {
        "ID": 7,
        "name": "Ann Müller",
        "emails": ["ann@x.org", "Ann@Y.org", "ann@x.org"],
        "phone": "+1 202 555 0104",
        "x": ["@Ann_B"],
        "reddit_id": "t2_9",
        "mastodon": "https://funk.example/@ann",
        "segment": "vip",
        "value": 1056,
        "since": "2021-03-15T00:00:00Z",
        "consent": True,
        "shoes": [42],
    }
    rows = read("\n\n".join([json.dumps(loose), encode_customer(ANN).decode()]))
    assert customers(rows) == [ANN, ANN]
    assert all(isinstance(row, Good) and not row.taken.notes for row in rows)


def test_a_name_keeps_whatever_stands_in_it(read: Read) -> None:
    for name in (
        "<script>alert(1)</script>",
        '=HYPERLINK("http://x.org","y")',
        "a\nb",
        'O\'Hara; "Bob"',
        "﷽",
    ):
        out = io.StringIO()
        csv.writer(out).writerows([["id", "name"], ["1", name]])
        assert only(read(out.getvalue())).name == name
    assert only(read("id,first name,Surname\n1,Ann,Bee\n")).name == "Ann Bee"


def test_what_cannot_be_read_is_left_out_and_the_row_goes_in(read: Read) -> None:
    (row,) = read(
        "id,email,phone,x,value,since,consent\n1,ann@x.org;nobody,12,a b,1.056,15.3.2021,nein\n".encode(
            "utf-16"
        )
    )
    assert isinstance(row, Good)
    assert row.taken.customer == Customer(id="1", emails=("ann@x.org",), consent=False)
    assert [note.field for note in row.taken.notes] == ["email", "phone", "x", "value", "since", "consent"]
    assert row.taken.notes[-1] == Note("consent", "`nein` is neither yes nor no; taken as no")
    assert "write 1056.00" in row.taken.notes[3].why


def test_a_row_that_cannot_be_taken_stops_no_other(read: Read) -> None:
    rows = read(
        "id,name,deleted\n"
        "1,Ann\n"  # fewer cells are empty ones
        ",Nobody,\n"
        "2,Bob,,,\n"  # empty cells are none
        "3,Cat,,x\n"
        '4,"Dan,\n'
        "5,Eve,\n"
        '6,"Fay" F,\n'
        "7,G\0us,\n"
        "8,Hal,maybe\n"
        "9,Ida,yes\n"
        ",,\n"
        f"10,{'x' * 200_000},\n"
        f"11,{'x' * 10_000_000},\n"
        "12,Jon,no"
    )
    good = {row.taken.id: row.taken.customer for row in rows if isinstance(row, Good)}
    assert list(good) == ["1", "2", "5", "9", "12"]
    assert good["9"] is None
    bad = [(row.line, row.id, row.why) for row in rows if isinstance(row, Bad)]
    assert [(line, id) for line, id, _ in bad] == [
        (3, ""),
        (5, "3"),
        (6, ""),
        (8, ""),
        (9, ""),
        (10, "8"),
        (13, ""),
        (14, ""),
    ]
    words = (
        "no customer id",
        "4 cells",
        "not closed",
        "not doubled",
        "NUL",
        "deleted `maybe`",
        "131,072",
        "1,048,576",
    )
    for (_, _, why), word in zip(bad, words, strict=True):
        assert word in why


def test_the_accounts_of_a_listing_are_read_back(read: Read) -> None:
    rows = read(
        "id,accounts\n7,x @Ann_B x:5; reddit reddit:t2_9; mastodon @ann@funk.example\n8,ann_b; X @bob"
    )
    (_, eight) = customers(rows)
    assert customers(rows)[0] == Customer(
        id="7",
        accounts=(
            Account("x", "ann_b", "x:5"),
            Account("reddit", id="reddit:t2_9"),
            Account("mastodon", "ann@funk.example"),
        ),
    )
    assert eight == Customer(id="8", accounts=(Account("x", "bob"),))
    assert isinstance(rows[1], Good)
    assert ["is no account" in note.why for note in rows[1].taken.notes] == [True]


def test_the_guard_before_a_formula_is_no_part_of_the_text(read: Read) -> None:
    (one,) = customers(read("id,name,segment,phone\n7,'=SUM(A1),'quoted','+12025550104\n"))
    assert one == Customer(id="7", name="=SUM(A1)", segment="'quoted'", phones=("+12025550104",))


def test_a_broken_line_of_json_stops_no_other(read: Read) -> None:
    long = json.dumps({"id": "0", "name": "x" * 10_000_000})
    deep = '{"id":"9","x":' + "[" * 100_000 + "]" * 100_000 + "}"
    lines = [long, '{"id":"1"}', '{"id":', "7", '{"id":"2","name":["a"]}', '{"id":"3","schema":2}', deep]
    rows = read("\n".join([*lines, '{"id":"4","customer":"5"}', '{"id":"5","accounts":[{"source":"x"},7]}']))
    kinds = [(row.line, type(row).__name__) for row in rows]
    bad = {1, 3, 4, 6, 7, 8}
    assert kinds == [(line, "Bad" if line in bad else "Good") for line in range(1, 10)]
    assert isinstance(rows[-1], Good)
    assert len(rows[-1].taken.notes) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b" \n\r\n\t", "is empty"),
        ("".encode("utf-16"), "is empty"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (gzip.compress(b"PK\x03\x04rest"), "spreadsheet"),
        (b"\xd0\xcf\x11\xe0rest", "spreadsheet"),
        ("id,name\n1,Ann".encode("utf-16-le"), "no text"),
        (b"\xff\xfei\0d\0,", "UTF-16"),
        (b"\xef\xbb\xbfid,name\n1,A\n2,M\xfcller", "line 3"),
        (b"1,Ann,ann@x.org\n2,Bob,bob@x.org\n", "no column of customer ids"),
        (b"x" * 2_000_000, "header"),
        (b'[{"id": "1"}]', "JSON Lines"),
    ],
    ids=range(13),
)
def test_a_file_that_is_none_is_told_in_one_sentence(read: Read, content: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(content)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_damaged_archive_gives_nothing(read: Read) -> None:
    packed = gzip.compress(os.urandom(100_000).hex().encode())
    with pytest.raises(FatalError, match="damaged"):
        read(packed[:-20])


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ConfigError, match="cannot be read"):
            Source(str(path))


def test_a_pipe_can_be_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(
        target=lambda: pipe.write_bytes(gzip.compress(f"{HEADER}\n{LINE}\n".encode("cp1252")))
    )
    writer.start()
    source = Source(str(pipe))
    writer.join()
    assert [only(list(CustomerFile(source, "US").rows())) for _ in range(2)] == [ANN, ANN]
    assert source.encoding.codec == "cp1252"
    source.close()


def test_the_whole_file_decides_of_its_encoding() -> None:
    many = [b"id\n" + b"x\n" * 400_000, b"\xc3", b"\xa9\n"]
    assert encoding_of(many, "f").words == "UTF-8"
    assert encoding_of([*many, b"\x80"], "f").words == "Windows-1252, for line 400003 is no UTF-8"
    assert encoding_of([*many[:2]], "f").codec == "cp1252", "it stops within a character"
    assert encoding_of([b"id\n\xe9\x81"], "f").codec == "latin-1"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))), min_size=1
    ),
    st.sampled_from(",;\t|"),
)
def test_rows_that_csv_writes_come_back(table: list[list[str]], delimiter: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(table)
    lines = Lines(io.StringIO(out.getvalue(), newline=""), "f")
    found = [row.cells for row in csv_rows(lines, delimiter) if isinstance(row, Row)]
    assert found == [row for row in table if any(row)]


@given(st.text(st.sampled_from('ab,"\n\r\0; '), max_size=200))
def test_any_text_is_read_to_its_end_and_lines_only_grow(text: str) -> None:
    rows = list(csv_rows(Lines(io.StringIO(text, newline=""), "f"), ","))
    places = [row.line for row in rows]
    assert places == sorted(set(places))
    assert all(isinstance(row, Row | Broken) for row in rows)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20), st.booleans())
def test_a_quote_that_is_not_closed_costs_its_row_alone(name: str, last: bool) -> None:
    clean = name.replace('"', "")
    others = [f"{n},{clean}" for n in range(20)]
    place = 20 if last else 7
    text = "\n".join([*others[:place], '"open', *others[place:]])
    rows = list(csv_rows(Lines(io.StringIO(text, newline=""), "f"), ","))
    broken = [row for row in rows if isinstance(row, Broken)]
    assert [row.line for row in broken] == [place + 1]
    assert len(rows) == 21


def test_the_customers_of_the_demo(read: Read) -> None:
    found = customers(read((files("configs") / "demo" / "customers.csv").read_bytes()))
    assert len(found) == 62
    assert all(one is not None and decode_customer(encode_customer(one)) == one for one in found)
    assert sum(one.consent is False for one in found if one) == 6
    assert sum(bool(one.accounts) for one in found if one) > 25
