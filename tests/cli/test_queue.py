"""The queue on the command line: words are queues or verbs, and a page fits the terminal it is shown on."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.app.cases.listing import due_in_words, span
from pipeline.cli.main import main, parser
from pipeline.cli.output import cells_of
from pipeline.cli.queue import run_list, run_take
from pipeline.cli.queue_page import Page
from pipeline.core.case_work import VERBS

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def row(**other: Any) -> dict[str, Any]:
    return {
        "case": "3f2a91bc5d0e7784",
        "queue": "outages",
        "priority": 2,
        "due_at": NOW + timedelta(minutes=25),
        "state": "new",
        "assignee": "",
        "customer": "Ann Bell",
        "customer_id": "C1",
        "author": "ann_b",
        "rule": "outage",
        "category": "line",
        "post": "x:1",
        "text": "No \x1b[31mline\nsince 断网了 " + "three days " * 30,
        "first_response_at": None,
    } | other


def test_a_word_is_a_verb_or_a_queue() -> None:
    parse = parser().parse_args
    assert (parse(["queue"]).run, parse(["queue"]).name) == (run_list, "")
    for words in (["queue", "complaints", "--limit", "3"], ["queue", "--limit", "3", "complaints"]):
        args = parse(words)
        assert (args.run, args.name, args.limit, args.follow) == (run_list, "complaints", 3, False)
    assert parse(["queue", "--follow", "--format", "csv"]).format == "csv"
    assert parse(["queue", "list", "--all-states"]).all_states
    args = parse(["queue", "take", "3f2a", "--as", "ann"])
    assert (args.run, args.case, args.person) == (run_take, "3f2a", "ann")


def test_the_words_that_no_queue_may_have_are_the_verbs() -> None:
    for verb in VERBS:
        if verb != "list":
            with pytest.raises(SystemExit):
                parser().parse_args(["queue", verb, "--limit", "3"])
    assert parser().parse_args(["queue", "lists"]).name == "lists"


def test_wrong_calls_are_told_before_any_server_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "--limit", "-1"]) == 2
    assert main(["queue", "take", "3f2a", "--as", ""]) == 2
    assert main(["queue", "note", "3f2a", " ", "--as", "ann"]) == 2
    with pytest.raises(SystemExit):
        main(["queue", "move", "3f2a", "billing", "--priority", "10"])
    said = capsys.readouterr().err
    for words in ("less than nothing", "--as takes a name", "the note is empty", "no priority"):
        assert words in said


@pytest.mark.parametrize(
    ("due", "answered", "words"),
    [
        (25, False, "in 25 min"),
        (0, False, "in 0 min"),
        (-1, False, "1 min late"),
        (-200, False, "3 h late"),
        (47 * 60, False, "in 47 h"),
        (-49 * 60, False, "2 d late"),
        (-200, True, "answered"),
        (None, False, "—"),
    ],
)
def test_due_is_told_as_seen_from_now(due: int | None, answered: bool, words: str) -> None:
    at = None if due is None else NOW + timedelta(minutes=due)
    assert due_in_words({"due_at": at, "first_response_at": NOW if answered else None}, NOW) == words
    assert span(timedelta(seconds=59)) == "0 min"


def test_a_case_that_was_resolved_is_not_due() -> None:
    row = {"due_at": NOW + timedelta(minutes=5), "first_response_at": None, "state": "resolved"}
    assert due_in_words(row, NOW) == "—"


def page_of(width: int | None, queue: str = "", format: Any = "table") -> tuple[Page, io.StringIO]:
    page, out = Page.__new__(Page), io.StringIO()
    page._queue, page._out, page._width, page._format = queue, out, width, format
    return page, out


@pytest.mark.parametrize("width", [40, 80, 129, 130, 200])
def test_a_page_fits_its_terminal_and_cannot_drive_it(width: int) -> None:
    page, out = page_of(width)
    page._print_totals([{"queue": "outages", "waiting": 3, "untaken": 1, "late": 2}])
    rows = [row(), row(state="taken", assignee="a\x1bb", customer="", due_at=NOW - timedelta(days=3))]
    assert page._print(rows, NOW) == 2
    lines = out.getvalue().splitlines()
    assert max(map(cells_of, lines)) <= width
    assert "\x1b" not in out.getvalue()
    assert sum("No [31mline since" in line for line in lines) == 2
    assert "3f2a91bc" in out.getvalue()
    if width >= 80:
        assert all(
            words in out.getvalue() for words in ("in 25 min", "3 d late", "taken ab", "Ann Bell", "@ann_b")
        )


def test_an_empty_queue_says_so() -> None:
    page, out = page_of(80, "outages")
    assert page._print([], NOW) == 0
    assert out.getvalue() == "nothing waits in outages\n"


def test_rows_that_follow_stand_on_a_line_of_their_own() -> None:
    whole = row() | dict.fromkeys(("post", "posts", "opened_at", "resolved_at", "updated_at", "revision"), 1)
    page, out = page_of(None, format="json")
    page._export_more(whole)
    page._export_more(whole)
    assert [json.loads(line)["case"] for line in out.getvalue().splitlines()] == [whole["case"]] * 2
    page, out = page_of(None, format="csv")
    page._export_more(whole | {"text": "=cmd"})
    assert out.getvalue().startswith("3f2a91bc5d0e7784,outages,2,")
    assert "'=cmd" in out.getvalue()
