"""A line is a line in both forms; JSON keeps to the Elastic Common Schema; what is too much is counted."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.app.log_lines import Ecs, Lines, Readable
from pipeline.app.logs import Out
from pipeline.core.concealment import Concealment

PAGE = Path(__file__).parents[2] / "docs" / "logs.md"
FIELD = re.compile(r"^\| `([a-z@._]+)` \| (keyword|text|date|long) \| (always|of an error) \|", re.MULTILINE)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")
FORMS = {"text": Readable, "json": Ecs}


class Stage:
    """A logger with an end of its own to write to."""

    def __init__(self, form: str, limit: int = 0) -> None:
        self.stream = io.StringIO()
        self.now = 0.0
        lines: Lines = FORMS[form]("enrich", Concealment())
        self.out = Out(lines, self.stream, limit, lambda: self.now)
        self.log = logging.Logger("groundswell.test")
        self.log.addHandler(self.out)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().split("\n")[:-1]


def fails(text: str) -> None:
    try:
        raise KeyError("the key\nof it all")
    except KeyError as error:
        raise ValueError(text) from error


def with_an_error(stage: Stage, text: str) -> None:
    try:
        fails(text)
    except ValueError:
        stage.log.exception("it failed: %s", text)


def ecs() -> dict[str, tuple[str, str]]:
    """The rules as the page has them: field to type, and whether it is always there."""
    return {name: (kind, when) for name, kind, when in FIELD.findall(PAGE.read_text(encoding="utf-8"))}


def hold(entry: dict[str, Any], *, error: bool) -> None:
    """An entry has the fields of the page and no others, each of its type."""
    rules = ecs()
    assert len(rules) > 12
    assert set(entry) == {name for name, (_, when) in rules.items() if when == "always" or error}
    for name, value in entry.items():
        kind, _ = rules[name]
        assert isinstance(value, int if kind == "long" else str), name
        if kind == "keyword":
            assert 0 < len(value) <= 1024, name
    assert TIME.match(entry["@timestamp"])
    assert datetime.fromisoformat(entry["@timestamp"])
    assert entry["log.level"] in ("debug", "info", "warning", "error", "critical")
    assert re.match(r"8\.[0-9]+\.[0-9]+\Z", entry["ecs.version"])


def test_a_line_keeps_to_the_schema() -> None:
    stage = Stage("json")
    stage.log.warning("%d records of %s", 3, "posts")
    (line,) = stage.lines
    assert list(json.loads(line))[:3] == ["@timestamp", "log.level", "message"]
    hold(json.loads(line), error=False)
    entry = json.loads(line)
    assert entry["message"] == "3 records of posts"
    assert (entry["service.name"], entry["event.dataset"]) == ("groundswell", "groundswell.enrich")


def test_an_error_keeps_to_the_schema_and_to_its_line() -> None:
    stage = Stage("json")
    with_an_error(stage, "a\nb")
    (line,) = stage.lines
    entry = json.loads(line)
    hold(entry, error=True)
    assert (entry["error.type"], entry["error.message"]) == ("ValueError", "a\nb")
    assert "in fails" in entry["error.stack_trace"]
    assert "KeyError" in entry["error.stack_trace"]


def test_a_readable_error_is_one_line_with_places_and_cause() -> None:
    stage = Stage("text")
    with_an_error(stage, "bad")
    (line,) = stage.lines
    assert re.search(
        r"ERROR   groundswell\.test: it failed: bad \[ValueError: bad; at test_logs\.py:\d+ fails <", line
    )
    assert "caused by KeyError: 'the key\\nof it all'; at test_logs.py" in line


@pytest.mark.parametrize("form", FORMS)
@given(text=st.text() | st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs"])))
def test_whatever_strangers_write_a_line_is_a_line(form: str, text: str) -> None:
    stage = Stage(form)
    stage.log.error("the post says %s", text)
    with_an_error(stage, text)
    whole = stage.stream.getvalue()
    assert len(whole.splitlines()) == 2
    assert whole.replace("\n", "").isprintable()
    assert whole.encode()
    if form == "json":
        entry = json.loads(stage.lines[0])
        assert entry["message"] == f"the post says {text}".encode("utf-8", "replace").decode()


@pytest.mark.parametrize("form", FORMS)
def test_a_text_of_megabytes_makes_a_line_that_can_be_read(form: str) -> None:
    stage = Stage(form)
    stage.log.warning("refused: %s", "x" * 5_000_000)
    assert len(stage.lines[0]) < 9_000
    assert "4,992,0" in stage.lines[0]


def test_a_mistake_in_a_call_costs_no_line() -> None:
    stage = Stage("text")
    stage.log.warning("%d of %s", "no number")  # noqa: PLE1206 - the mistake
    assert "no number" in stage.lines[0]


def test_more_of_a_kind_are_counted_and_told() -> None:
    stage = Stage("text", limit=2)
    for number in range(4215):
        stage.log.warning("post %d is refused", number)
    assert len(stage.lines) == 2
    stage.now = 60.0
    stage.log.info("another matter")
    assert stage.lines[2].endswith(
        "WARNING groundswell.test: post 4214 is refused … and 4,213 more like it in 60 s"
    )
    stage.log.warning("post %d is refused", 1)
    assert len(stage.lines) == 5


def test_what_is_held_back_is_told_at_the_end_also_where_it_looks_like_a_template() -> None:
    stage = Stage("json", limit=1)
    for text in ("a", "100 %s %d", "\n"):
        stage.log.warning("said: %s", text)
    stage.out.close()
    assert json.loads(stage.lines[1])["message"] == "said: \n … and 2 more like it in 0 s"
    hold(json.loads(stage.lines[1]), error=False)


PROGRAM = """
import logging, threading, warnings
from pipeline.app import logs
logs.set_up("info", {form!r}, name="collect", limit=2)
logs.catch_all()
for number in range(50):
    logging.getLogger("groundswell.x").warning("post %d", number)
warnings.warn("old\\nways")
def dies():
    raise RuntimeError("in a\\nthread")
thread = threading.Thread(target=dies)
thread.start()
thread.join()
raise RuntimeError("at the end")
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_process_says_all_in_lines_to_its_very_end(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form=form)], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    if form == "json":
        entries = [json.loads(line) for line in lines]
        (rest,) = [entry["message"] for entry in entries if entry["log.logger"] == "groundswell.x"][2:]
        assert re.fullmatch("post 49 … and 48 more like it in [0-9]+ s", rest)
        assert [entry["error.message"] for entry in entries if "error.type" in entry] == [
            "in a\nthread",
            "at the end",
        ]
    said = "\n".join(lines)
    assert "old\\nways" in said
    assert all(one in said for one in ("48 more like it", "RuntimeError", "at the end"))
    assert len(lines) == 6
