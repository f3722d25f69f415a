"""docs/settings.md says what the schema says."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import fields

from pipeline.app.registry import known, load
from pipeline.app.settings_page import main, page
from pipeline.core.schema import settings_of
from pipeline.core.settings import RESERVED, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_the_one_that_the_schema_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m pipeline.app.settings_page`"


def test_the_page_names_every_key_every_variable_and_every_meaning() -> None:
    text = page()
    for setting in settings_of(Settings):
        key = f"{setting.key}_file" if setting.secret else setting.key
        assert f"| `{key}` |" in text
        assert f"`{setting.variable}`" in text
        assert setting.meaning in text
    assert all(f"`{name}`" in text for name in RESERVED)


def test_the_page_has_every_key_of_every_step() -> None:
    for step in known("enrichers"):
        section = page().partition(f"\n### enrichers.{step}\n")[2].partition("\n#")[0]
        keys = [field.encode_name for field in fields(load("enrichers", step).SETTINGS)]
        assert [key for key in keys if f"| `{key}` |" not in section] == []
        assert keys or f"`{step}`" in page().partition("These have none: ")[2].splitlines()[0]


def test_nothing_is_without_a_meaning() -> None:
    assert [line for line in page().splitlines() if line.endswith(("| . |", "|  |"))] == []


def test_every_table_of_the_page_is_whole() -> None:
    rows = [line for line in page().splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {7, 3}


def test_the_page_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page()
