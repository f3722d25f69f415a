"""The step that routes: what it requires follows from its rules; the rules that ship keep their tests."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from enrichers import route
from pipeline.app.registry import build_chain
from pipeline.core.errors import ConfigError
from pipeline.core.event import Event
from pipeline.core.post import Author, Post
from pipeline.core.rule_tests import read_rule_tests, run_rule_tests
from pipeline.core.settings import EnrichSettings, Settings

RULES = """
default = "general"
[queues.general]
[queues.angry]
priority = 1
[[rules]]
id = "weekend"
ignore = true
when = 'posted within "sat-sun UTC"'
[[rules]]
id = "angry"
queue = "angry"
when = 'sentiment.compound <= -0.4'
"""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def chain_settings(file: Path | None, *steps: str) -> Settings:
    tables = {"route": {"file": str(file)}} if file else {}
    return Settings(enrich=EnrichSettings(steps=(*steps, "route")), enrichers=tables)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "routing.toml"
    path.write_text(RULES)
    return path


def test_posts_are_routed_in_the_chain(rules: Path) -> None:
    chain = build_chain(chain_settings(rules, "language", "sentiment"))
    posts = [
        Post(id="x:1", text="This is terrible and awful", author=Author(id="x:a")),
        Post(id="x:2", text="Where is it?", author=Author(id="x:a")),
        Post(id="x:3", text="This is terrible and awful", author=Author(id="x:a"), direction="outbound"),
        Post(id="x:4", text="", deleted=True),
        Post(id="x:5", text="Hm", author=Author(id="x:a"), created_at=datetime(2026, 11, 21, tzinfo=UTC)),
    ]
    observed = [NOW] * 5
    events = chain.process(posts, observed, prefix="g", now=NOW)
    routed = [
        [(r.queue, r.priority, r.rule) for r in event.routes] for event in events if isinstance(event, Event)
    ]
    assert routed == [[("angry", 1, "angry")], [("general", 5, "default")], [], [], []]
    assert events[0].versions["route"] == route.read_router(rules).version  # type: ignore[union-attr]
    # Without a date, the time at which the log took a post in decides.
    saturday = chain.process(posts[:1], [datetime(2026, 11, 21, tzinfo=UTC)], prefix="g", now=NOW)
    assert isinstance(saturday[0], Event)
    assert saturday[0].routes == ()


def test_without_a_file_nothing_is_routed_and_nothing_required() -> None:
    step = route.build(route.SETTINGS())
    assert step.requires == ("post",)
    assert step.version == "none"
    assert step.enrich({"post": [1, 2]}) == [(), ()]
    build_chain(chain_settings(None))


def test_a_rule_on_a_column_that_no_step_makes_is_refused(rules: Path) -> None:
    with pytest.raises(
        ConfigError, match="step `route` needs the column `sentiment`, which no step before it"
    ):
        build_chain(chain_settings(rules, "language"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"[queues", "line 1, column 8"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b'default = "x"', "there is no queue `x`: add a table [queues.x]"),
    ],
)
def test_a_bad_file_is_told_with_its_path(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "routing.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        build_chain(chain_settings(path))
    assert f"routing file {path}" in str(error.value)
    assert told in str(error.value)


def test_the_rules_that_ship_keep_their_tests() -> None:
    with as_file(files("configs") / "routing.toml") as path:
        router = route.read_router(path)
    tests = read_rule_tests(files("configs").joinpath("routing_test.toml").read_bytes(), "routing_test.toml")
    results = run_rule_tests(router, tests)
    assert [result.name for result in results if not result.passed] == []
    # Every rule that sends somewhere is shown by a test.
    shown = {r.rule for test in tests for r in router.route(test.columns)}
    assert {rule.id for rule in router.rules if rule.route} <= shown
