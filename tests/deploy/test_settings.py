"""The settings that containers and services start with are sound, with the files beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.app.checking import look_at
from pipeline.core.configuration import read_settings
from testkit.deploy import compose

ROOT = Path(__file__).parents[2]
CONFIGS = compose.read(ROOT)["configs"]


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """The file with the others beside it, as all three ways lay them out."""
    for name, config in CONFIGS.items():
        shutil.copy(ROOT / config["file"], tmp_path / name)
    return tmp_path / "groundswell.toml"


def test_a_check_finds_nothing_wrong(settings_file: Path) -> None:
    looked = look_at(read_settings(settings_file, {}))
    assert [problem for one in looked for problem in one.problems] == []
    parts = {one.part: one.detail for one in looked}
    assert parts.keys() == {"enrichers", "rules", "rule tests"}
    assert "passed" in parts["rule tests"]


def test_the_example_of_a_source_is_one(settings_file: Path) -> None:
    """Without the marks of a comment it is to be taken as it stands."""
    lines = settings_file.read_text(encoding="utf-8").splitlines()
    start = lines.index("# [connectors.bluesky]")
    lines[start:] = [line.removeprefix("# ") for line in lines[start:]]
    settings_file.write_text("\n".join(lines), encoding="utf-8")
    looked = look_at(read_settings(settings_file, {}))
    assert [one.problems for one in looked if one.part == "connector"] == [()]
