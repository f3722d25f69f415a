"""The examples of docs/routing.md do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.core.routing import Router
from pipeline.core.rule_tests import read_rule_tests
from testkit.routing import compile_search, read_routing, router_of

PAGE = (Path(__file__).parents[1] / "docs" / "routing.md").read_text(encoding="utf-8")


def _toml() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_the_file_on_the_page_is_valid() -> None:
    router: Router = read_routing(_toml()[0].encode(), "page", compile_search)
    assert [rule.id for rule in router.rules] == ["outage-urgent", "prize-draws"]


def test_the_test_on_the_page_is_valid() -> None:
    (test,) = read_rule_tests(_toml()[2].encode(), "page")
    assert test.queues == ["leaving"]


def test_every_condition_of_the_table_can_be_written() -> None:
    rows = re.findall(r"^\| (`.+?) \| [^|]+ \|$", PAGE, re.MULTILINE)
    written = [
        one for row in rows for one in re.findall(r"`([^`]+)`", row) if len(one.split()) > 1 or "." in one
    ]
    whole = [
        one
        for one in written
        if "…" not in one and one not in ("not in", "all of", "a and b", "a or b", "not a")
    ]
    assert len(whole) >= 14
    for condition in whole:
        router_of(condition, head='[hours]\noffice = "mon UTC"')
