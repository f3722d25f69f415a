"""`groundswell explain` over a true index: the whole page, deletions, unknown posts, other rules of today."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from msgspec.structs import replace

from pipeline.app.registry import build_chain
from pipeline.cli.main import main
from pipeline.cli.output import cells_of
from pipeline.core.configuration import read_settings
from pipeline.core.event import Contact, CustomerLink, Event
from pipeline.core.post import Author, Post
from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import ElasticSink
from sinks.store import Put, Store

CREATED = datetime(2026, 10, 28, 10, 2, 22, tzinfo=UTC)
NOW = CREATED + timedelta(minutes=1)
ID = "x:2107005952455645816"
TEXT = "VERY slow \x1b[2J\u202e and NOT great 😡!! @acme Acme Go is not working for 3 days. I don’t like it"
BRANDS = """
[[entities]]
id = "brand:acme"
name = "Acme"
kind = "brand"
aliases = ["Acme"]
handles = ["acme"]
[[entities]]
id = "product:acme-go"
name = "Acme Go"
kind = "product"
parent = "brand:acme"
aliases = ["Acme Go"]
[[own_accounts]]
source = "x"
author_id = "x:500"
"""
RULES = """
default = "general"
[queues.general]
[queues.outages]
priority = 2
first_response_minutes = 30
[[rules]]
id = "spam"
ignore = true
when = 'text contains "claim here"'
[[rules]]
id = "outage"
queue = "outages"
when = 'complaint.is_complaint'
"""
SETTINGS = """
[enrich]
steps = ["direction", "language", "sentiment", "entities", "complaint", "route"]
[enrichers.direction]
file = "brands.toml"
[enrichers.entities]
file = "brands.toml"
[enrichers.route]
file = "routing.toml"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, content in (("brands", BRANDS), ("routing", RULES), ("groundswell", SETTINGS)):
        (tmp_path / f"{name}.toml").write_text(content)
    return tmp_path


def post(**more: Any) -> Post:
    author = Author(id="x:a", handle="ann", name="Ann \x1b[31mB")
    return Post(**{"id": ID, "text": TEXT, "lang": "en", "created_at": CREATED, "author": author} | more)


@pytest.fixture
def asked(
    client: Elasticsearch,
    elastic_settings: ElasticsearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
) -> Elasticsearch:
    """An index that holds a complaint with customer and case, our answer to it, and a deleted post."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("GROUNDSWELL_HOME", str(home / "home"))
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_URL", elastic_settings.url)
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_PREFIX", elastic_settings.prefix)
    posts = [
        post(collected_at=CREATED + timedelta(seconds=20)),
        post(
            id="x:2",
            text="Sorry!",
            author=Author(id="x:500"),
            in_reply_to=ID,
            created_at=CREATED + timedelta(minutes=12),
        ),
        post(id="x:3", deleted=True),
    ]
    chain = build_chain(read_settings(home / "groundswell.toml", {}))
    events = chain.process(posts, [NOW] * 3, prefix=elastic_settings.prefix, now=NOW)
    assert all(isinstance(event, Event) for event in events)
    complaint = replace(
        events[0],  # type: ignore[type-var]
        customer=CustomerLink("C-1", 0.95, ("handle", "email in text"), "gold", 372.0),
        contacts=(Contact("email", "text", "00ff00ff00ff00ff00ff"),),
    )
    ElasticSink(client, elastic_settings).write([complaint, *events[1:]])  # type: ignore[list-item]
    client.indices.refresh(index=f"{elastic_settings.prefix}-*")
    return client


@pytest.fixture
def known(asked: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Elasticsearch:
    for kind, id, source in (
        ("customers", "C-1", {"id": "C-1", "name": "Ann \x1b[1mBell"}),
        (
            "cases",
            "K-7",
            {
                "id": "K-7",
                "queue": "outages",
                "priority": 2,
                "state": "taken",
                "assignee": "lena",
                "posts": [ID, "x:9"],
                "opened_at": (NOW + timedelta(seconds=2)).isoformat(),
                "first_response_at": (NOW + timedelta(minutes=9)).isoformat(),
            },
        ),
    ):
        store = Store(asked, elastic_settings, kind)
        store.prepare()
        store.put([Put(id, 1, source)])
        store.refresh()
    return asked


def explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["explain", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_whole_page(known: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = explain(capsys, ID)
    assert (status, err) == (0, "")
    page = " ".join(out.split())
    for part in (
        f"{ID}: a post on x, inbound by @ann Ann [31mB (x:a)",
        "[@acme]1 [Acme Go]2 is not working",
        "collected 2026-10-28 10:02:42Z 20 s after created",
        "processed 2026-10-28 10:03:22Z 40 s after collected",
        "case opened 2026-10-28 10:03:24Z 2 s after processed",
        "answer due 2026-10-28 10:33:22Z",
        "first response 2026-10-28 10:12:22Z 10 min after created",
        "LANGUAGE en, confidence 1.00: said by the platform",
        "negation “not” +3.10 →",
        "[1] Acme (brand:acme) by handle “@acme”, characters 34 to 39",
        "[2] Acme Go (product:acme-go) by alias “Acme Go”",
        "COMPLAINT yes about",
        "“not working” is failure",
        "CONTACTS email in the text",
        "CUSTOMER C-1 Ann [1mBell, gold, worth 372 a year, confidence 0.95 by handle by email in text",
        "ROUTING outages, priority 2, by rule outage no spam:",
        "held outage → outages: complaint.is_complaint (it is true)",
        "CASE K-7, taken in outages with priority 2, lena has it, 2 posts",
        "never edited, first enriched, seen 19.9 s to 21.7 s after it was written",
    ):
        assert part in page, part
    assert "TODAY" not in page


def test_no_line_is_too_wide_and_none_drives_the_terminal(
    known: Elasticsearch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = explain(capsys, ID)
    assert max(cells_of(line) for line in out.splitlines()) <= 80
    assert not any(sign in out for sign in "\x1b\u202e")


def test_json_holds_all_of_it(known: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = explain(capsys, ID, "--format", "json")
    told = json.loads(out)
    assert status == 0
    assert told["event"]["post"]["text"] == TEXT
    assert told["customer_name"] == "Ann \x1b[1mBell"
    assert told["case"]["assignee"] == "lena"
    assert told["judged"]["sentiment"]["compound"] == told["event"]["sentiment"]["compound"]
    assert [step["rule"] for step in told["judged"]["way"]["steps"]] == ["spam", "outage"]
    assert [moment["stage"] for moment in told["times"]][:3] == ["created", "collected", "processed"]


def test_without_customers_and_cases_the_index_alone_tells(
    asked: Elasticsearch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = explain(capsys, ID)
    page = " ".join(out.split())
    assert status == 0
    assert "CUSTOMER C-1 (not in the customers' index any more), gold" in page
    assert "first response 2026-10-28 10:14:22Z 12 min after created" in page
    assert "CASE" not in page


def test_rules_and_steps_of_another_day_are_told(
    asked: Elasticsearch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    (home / "routing.toml").write_text(RULES.replace("complaint.is_complaint", "complaint.urgency > 0.99"))
    (home / "groundswell.toml").write_text(SETTINGS + "[enrichers.sentiment]\nnormalise = false\n")
    _, out, _ = explain(capsys, ID)
    page = " ".join(out.split())
    assert "the way below is that of today's rules" in page
    assert "So by today's rules what is stored would go to: general, priority 5" in page
    assert "sentiment: as stored" in page
    assert "route: as stored outages (priority 2, rule outage); today it would be general" in page


def test_settings_that_cannot_be_used_hinder_no_more_than_their_step(
    asked: Elasticsearch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    (home / "routing.toml").write_text("mode = 3")
    status, out, _ = explain(capsys, ID)
    page = " ".join(out.split())
    assert status == 0
    assert "ROUTING outages, priority 2, by rule outage" in page
    assert "mode: expected" in page


def test_our_own_post_is_never_a_complaint(asked: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = explain(capsys, "x:2")
    page = " ".join(out.split())
    assert "x:2: a post on x, outbound" in page
    assert "COMPLAINT a post of our own is never one" in page
    assert "ROUTING to no queue held a post of our own account is never routed" in page


def test_a_deleted_post_is_a_stub(asked: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = explain(capsys, "x:3")
    page = " ".join(out.split())
    assert status == 0
    assert "This post was deleted. What is left is a stub" in page
    assert "SENTIMENT" not in page
    assert ": deleted index" in page


def test_an_unknown_post_is_status_1_with_where_to_look(
    asked: Elasticsearch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = explain(capsys, "x:nobody")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "the index has no post `x:nobody`" in err
    assert "groundswell rejected list" in err
