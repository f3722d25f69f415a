"""``groundswell check``: what a person sees of good files and bad ones, of rule tests and of a backtest."""

from __future__ import annotations

import csv
import gzip
import json
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main

SETTINGS = """
[enrich]
steps = ["language", "sentiment", "route"]
[enrichers.route]
file = "routing.toml"
[connectors.archive]
kind = "jsonl"
path = "posts.jsonl"
"""
RULES = """
default = "general"
[queues.general]
[queues.angry]
priority = 1
[[rules]]
id = "angry"
queue = "angry"
when = 'text contains "larkwell" and sentiment.compound <= -0.4'
"""
DRAFT = """
default = "general"
[queues.general]
[queues.angry]
[queues.german]
[[rules]]
id = "german"
queue = "german"
when = 'language.code = "de"'
[[rules]]
id = "angry"
queue = "angry"
when = 'text contains any of ("larkwell", "hub") and sentiment.compound <= -0.5'
"""
TESTS = """
[[tests]]
name = "angry ones go up"
queues = ["angry"]
[tests.event]
text = "larkwell is bad"
sentiment.compound = -0.6
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with settings, rules and their tests, all well."""
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GROUNDSWELL_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    for name, content in (
        ("groundswell.toml", SETTINGS),
        ("routing.toml", RULES),
        ("routing_test.toml", TESTS),
        ("draft.toml", DRAFT),
    ):
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.fixture
def demo(folder: Path) -> Path:
    """The posts of the demo."""
    path = folder / "posts.jsonl"
    path.write_bytes(files("configs").joinpath("demo/posts.jsonl").read_bytes())
    return path


def table(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """The JSON that the command prints, and a status of 0."""
    assert main.main(["check", *arguments, "--format", "json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_all_is_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(capsys)
    assert [(row["part"], row["state"]) for row in rows] == [
        ("settings", "fine"),
        ("connector", "fine"),
        ("enrichers", "fine"),
        ("rules", "fine"),
        ("rule tests", "fine"),
    ]
    assert rows[-1]["detail"] == "1 of 1 passed"
    assert main.main(["check"]) == 0
    assert "routing_test.toml" in capsys.readouterr().out


def test_a_failed_rule_test_shows_what_came_and_the_way(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "routing_test.toml").write_text(TESTS.replace("-0.6", "-0.2"))
    assert main.main(["check"]) == 2
    told = capsys.readouterr().err
    assert f'{folder / "routing_test.toml"}: test "angry ones go up" failed' in told
    assert "expected: queues angry" in told
    assert "got:      queues general" in told
    assert "rule `angry` did not hold: sentiment.compound <= -0.4 (it is -0.2)" in told
    assert "rule `default` held, so it goes to `general`" in told


def test_all_problems_come_at_once_with_their_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "groundswell.toml").write_text(
        SETTINGS.replace('path = "posts.jsonl"', "").replace('"language"', '"langage"')
        + '[enrichers.sentiment]\nnromalise = true\n[connectors.other]\nkind = "rediit"\n'
    )
    (folder / "routing.toml").write_text(
        RULES.replace("compound", "compund").replace('"angry"\nwhen', '"x"\nwhen')
    )
    assert main.main(["check"]) == 2
    told = capsys.readouterr().err
    for part in (
        "check found 5 problems",
        "connectors.archive.path: missing",
        "there is no connector `rediit`",
        "there is no enricher `langage`, did you mean `language`",
        "enrichers.sentiment.nromalise: unknown key",
        f"routing file {folder / 'routing.toml'}: 2 problems",
        "there is no field `sentiment.compund`",
        "there is no queue `x`",
    ):
        assert part in told
    assert "Traceback" not in told


def test_a_column_that_nobody_makes_is_told_with_its_rules(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "routing.toml").write_text(RULES.replace("sentiment.compound <= -0.4", "customer exists"))
    assert main.main(["check"]) == 2
    told = capsys.readouterr().err
    assert "step `route` needs the column `customer`" in told
    assert "`customer` is read by the rule `angry`" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"groundswell.toml": "[enrich\n"}, "groundswell.toml: 1 problem"),
        ({"groundswell.toml": "[enrichers.route]\nfle = 'x'"}, "enrichers.route.fle: unknown key"),
        ({"groundswell.toml": SETTINGS.replace("routing.toml", "nope.toml")}, "nope.toml cannot be read"),
        ({"routing_test.toml": "[[tests]]"}, "tests[0].name: missing"),
        ({"routing_test.toml": "tests = 3"}, "file of rule tests"),
        ({"routing_test.toml": "[[tests"}, "line 1"),
    ],
)
def test_a_bad_file_is_status_2(
    folder: Path, change: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in change.items():
        (folder / name).write_text(content)
    assert main.main(["check"]) == 2
    assert told in capsys.readouterr().err


def test_rules_without_tests_and_rules_that_nobody_uses_are_said_to_be_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "routing_test.toml").unlink()
    (folder / "groundswell.toml").write_text(SETTINGS.replace(', "route"]', "]"))
    rows = table(capsys)
    assert "not among enrich.steps" in rows[-2]["detail"]
    assert "there are none" in rows[-1]["detail"]


def test_a_backtest_of_posts_shows_the_load_of_each_queue(
    demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["queue"]: row for row in table(capsys, "--backtest", str(demo))}
    assert list(rows) == ["general", "angry", "(none)"]
    assert all(row["before"] is None and row["change"] is None for row in rows.values())
    # One post counts once, however often it was sent, and not once it was deleted.
    routed = rows["general"]["now"] + rows["angry"]["now"]
    newest: dict[str, dict[str, Any]] = {}
    for line in demo.read_bytes().splitlines():
        post = json.loads(line)
        newest[post["id"]] = newest.get(post["id"], {}) | post
    live = [post for post in newest.values() if not post.get("deleted") and post["direction"] == "inbound"]
    assert routed == len(live)
    assert rows["general"]["busiest_day"] == "2026-10-28"
    assert 0 < rows["angry"]["per_day"] < 1


def test_a_draft_is_held_against_the_rules_of_the_settings(
    folder: Path, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = folder / "posts.jsonl.gz"
    packed.write_bytes(gzip.compress(demo.read_bytes()))
    call = ["--backtest", str(packed), "--rules", "draft.toml"]
    rows = {row["queue"]: row for row in table(capsys, *call)}
    assert rows["german"]["before"] == 0
    assert rows["german"]["change"] == rows["german"]["now"] > 0
    assert sum(row["change"] for row in rows.values()) == 0
    moved = table(capsys, *call, "--moved", "1000")
    assert sum("german" in post["now"] for post in moved) == rows["german"]["now"]
    assert all(post["before"] != post["now"] and post["text"] and post["rule"] for post in moved)
    assert len(table(capsys, *call, "--moved", "3")) == 3
    assert main.main(["check", *call]) == 0
    assert f"{len(moved)} posts change queue, of which 10:" in capsys.readouterr().out


def test_a_backtest_of_events_starts_from_the_routes_that_they_hold(
    folder: Path, demo: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main.main(["enrich", str(demo)]) == 0
    events = folder / "events.jsonl"
    events.write_bytes(capfdbinary.readouterr().out)
    for more, changed in (([], False), (["--rules", "draft.toml"], True)):
        assert main.main(["check", "--backtest", str(events), "--format", "csv", *more]) == 0
        rows = list(csv.DictReader(StringIO(capfdbinary.readouterr().out.decode())))
        assert sum(int(row["before"]) for row in rows) == sum(int(row["now"]) for row in rows) == 312
        assert any(row["change"] != "0" for row in rows) == changed


def test_lines_that_are_neither_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        "",
        "hello",
        "[1]",
        '{"post": 3}',
        '{"id": "x:1"}',
        '{"id": "x:2", "text": "a", "author": {"id": "x:a"}}',
    ]
    (folder / "mixed.jsonl").write_text("\n".join(lines))
    assert main.main(["check", "--backtest", "mixed.jsonl"]) == 0
    assert "1 posts of 0 days, 4 refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (["--backtest", "nothere.jsonl"], "nothere.jsonl cannot be read"),
        (["--moved", "3"], "name a file with --backtest"),
        (["--backtest", "posts.jsonl", "--moved", "-1"], "--moved -1: expected 0 or more"),
        (["--rules", "nothere.toml"], "routing file nothere.toml cannot be read"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    demo: Path, call: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["check", *call]) == 2
    assert told in capsys.readouterr().err


def test_posts_cannot_be_tried_by_rules_on_what_nobody_finds(
    folder: Path, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "draft.toml").write_text(DRAFT.replace('language.code = "de"', "customer exists"))
    assert main.main(["check", "--backtest", str(demo), "--rules", "draft.toml"]) == 2
    assert "`customer` (rule `german`)" in capsys.readouterr().err


def test_there_must_be_rules_to_try(folder: Path, demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "groundswell.toml").write_text("")
    assert main.main(["check", "--backtest", str(demo)]) == 2
    assert "there are no rules to try" in capsys.readouterr().err
