"""docs/add-a-source.md, followed to the letter in a copy of the checkout: its source keeps the contract."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from pipeline.app.daemon import surroundings
from testkit.walkthrough import Block, blocks_of, put_on_path, shell

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-source.md").read_text(encoding="utf-8")
COPIED = ("connectors", "enrichers", "pipeline", "sinks", "configs", "testkit", "docs", "pyproject.toml")
TESTS = ("conftest.py", "connectors/test_contract.py")
TABLE = " table"
MOST_LINES = {"connectors/notices.py": 125, "testkit/connectors/notices.py": 70}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of the checkout as a contributor of a source touches."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for name in TESTS:
        (folder / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, folder / "tests" / name)
    return folder


def add_row(file: Path, row: str) -> None:
    """Puts a row into the first table of a page, by the alphabet."""
    text = file.read_text(encoding="utf-8")
    found = re.search(r"(?<=\|\n)(?:\| \[.+\n)+", text)
    assert found, f"{file.name} has no such table"
    rows = sorted([*found[0].splitlines(keepends=True), row])
    file.write_text(text[: found.start()] + "".join(rows) + text[found.end() :], encoding="utf-8")


def test_the_tutorial_makes_a_source_that_keeps_the_contract(checkout: Path, tmp_path: Path) -> None:
    programs = {"python": [sys.executable], "groundswell": [sys.executable, "-m", "pipeline.cli.main"]}
    own = {"PATH": put_on_path(tmp_path / "bin", **programs), "GROUNDSWELL_HOME": str(tmp_path / "home")}
    with shell(checkout, surroundings(os.environ, **own)) as contributor:
        for block in blocks_of(PAGE):
            if block.note.endswith(TABLE):
                add_row(contributor.path(block.note.removesuffix(TABLE)), block.text)
            else:
                contributor.follow(block)
        for name, most in MOST_LINES.items():
            assert len(contributor.path(name).read_text().splitlines()) <= most, name
        written = " ".join(MOST_LINES)
        style = f"python -m ruff check {written} && python -m ruff format --check {written}"
        contributor.follow(Block("sh", "", style + "\n", 0))


def test_the_reader_is_told_of_every_file() -> None:
    prose = re.sub(r"^(`{3,}).*?^\1$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = {block.note.split()[0] for block in blocks_of(PAGE) if "/" in block.note}
    assert len(named) == 4
    assert [name for name in named if f"`{name}`" not in prose] == []
