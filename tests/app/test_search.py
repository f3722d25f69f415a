"""Questions to a true index: what matches, in which order, how many, and what a wrong one is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from elasticsearch import Elasticsearch

from pipeline.app import search as module
from pipeline.app.fields import exact, leaves
from pipeline.app.moment import moment
from pipeline.app.search import Search, count, documents, query_of, sort_of, tally
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import client_for, prepare

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
def index(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> str:
    """An index of 30 posts of three authors, one a day, and a stub."""
    prepare(client, elastic_settings)
    lines: list[dict[str, Any]] = []
    for n in range(30):
        at = NOW - timedelta(days=n)
        lines.append({"index": {"_index": f"{elastic_settings.prefix}-posts-{at:%Y.%m}", "_id": f"x:{n:02}"}})
        post = {
            "id": f"x:{n:02}",
            "text": f"late flight {n}" if n % 2 else "lovely",
            "created_at": at.isoformat(),
        }
        post |= {"author": {"id": f"x:a{n % 3}", "name": f"Ann {n % 3}", "followers": n}, "deleted": False}
        lines.append(post | {"sentiment": {"compound": n / 30, "label": "negative" if n % 2 else "positive"}})
    lines.append({"index": {"_index": f"{elastic_settings.prefix}-posts-undated", "_id": "x:stub"}})
    lines.append({"id": "x:stub", "deleted": True})
    client.bulk(operations=lines, refresh=True)
    return f"{elastic_settings.prefix}-posts"


def ids(client: Elasticsearch, index: str, search: Search, **options: Any) -> list[object]:
    return [found["id"] for found in documents(client, index, search, **options)]


def test_what_matches(client: Elasticsearch, index: str) -> None:
    def number(**search: Any) -> int:
        return count(client, index, Search(**search))

    assert number() == number(text="") == number(text="*") == 30
    assert number(deleted=True) == 31
    assert number(text="late") == number(text='"late flight"') == number(text="text:late") == 15
    assert number(text="late flight 7") == 15  # any of the words
    assert number(text="flight AND 7") == 1
    assert number(text='sentiment.label:negative AND NOT author.id:"x:a0"') == 10
    assert number(text="author.followers:[10 TO 19]") == 10
    assert number(text="_exists_:customer.id") == 0
    assert number(since=NOW - timedelta(days=5)) == 6
    assert number(since=NOW - timedelta(days=5), until=NOW) == 5
    assert number(text="created_at:[2026-11 TO *]") == 22


def test_the_newest_come_first_unless_told_otherwise(client: Elasticsearch, index: str) -> None:
    assert ids(client, index, Search(), limit=2) == ["x:00", "x:01"]
    assert ids(client, index, Search(), limit=2, sort="created_at:asc") == ["x:29", "x:28"]
    assert ids(client, index, Search(), limit=1, sort="author.followers") == ["x:29"]
    assert ids(client, index, Search(), limit=3, sort="author.name") == ["x:00", "x:03", "x:06"]
    assert ids(client, index, Search(deleted=True))[-1] == "x:stub"  # has no date
    assert ids(client, index, Search(), limit=0) == []


def test_pages_follow_each_other_without_gap(client: Elasticsearch, index: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "PAGE", 7)
    assert ids(client, index, Search()) == [f"x:{n:02}" for n in range(30)]
    assert len(ids(client, index, Search(), limit=20)) == 20
    assert len(ids(client, index, Search(text="late"), sort="sentiment.label")) == 15


def test_only_the_fields_asked_for_come(client: Elasticsearch, index: str) -> None:
    [found] = documents(client, index, Search(), fields=["author.name", "id"], limit=1)
    assert found == {"id": "x:00", "author": {"name": "Ann 0"}}


def test_an_abandoned_reading_lets_go(client: Elasticsearch, index: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    reading = documents(client, index, Search())
    next(iter(reading))
    reading.close()  # type: ignore[attr-defined]
    stats = client.nodes.stats(metric="indices", index_metric="search")["nodes"]
    assert all(node["indices"]["search"]["open_contexts"] == 0 for node in stats.values())


def test_counts_by_value(client: Elasticsearch, index: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "BUCKETS", 2)
    assert sorted(tally(client, index, Search(), "author.id")) == [("x:a0", 10), ("x:a1", 10), ("x:a2", 10)]
    assert tally(client, index, Search(until=NOW), "author.name")[0][1] == 10
    assert len(tally(client, index, Search(), "author.followers")) == 30
    assert tally(client, index, Search(deleted=True), "deleted") == [(False, 30), (True, 1)]
    assert tally(client, index, Search(text="nothing"), "author.id") == []


def test_counts_in_time(client: Elasticsearch, index: str) -> None:
    assert tally(client, index, Search(), "created_at:month") == [("2026-10", 8), ("2026-11", 22)]
    assert tally(client, index, Search(), "created_at:week")[-1] == ("2026-11-16", 7)
    assert tally(client, index, Search(), "created_at")[-1] == ("2026-11-22", 1)
    assert tally(client, index, Search(), "created_at:hour")[-1] == ("2026-11-22T10:00Z", 1)


def test_an_index_that_is_not_there_holds_nothing(client: Elasticsearch) -> None:
    assert count(client, "no-such-index", Search()) == 0
    assert list(documents(client, "no-such-index", Search())) == []
    assert tally(client, "no-such-index", Search(), "id") == []


@pytest.mark.parametrize("text", ["late AND (", '"open', "a:b:c", "[1 TO", "/x", "AND"])
def test_a_query_that_cannot_be_read_is_the_askers(client: Elasticsearch, index: str, text: str) -> None:
    with pytest.raises(ConfigError):
        count(client, index, Search(text=text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("autor.id:x", "no field `autor.id`: did you mean `author.id`"),
        ("a AND (sentimnt.label:x)", "`sentiment.label`"),
        ("http://acme.example", r"no field `http`.*write \\: for a colon"),
    ],
)
def test_a_field_that_does_not_exist_is_told(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        query_of(Search(text=text))


@pytest.mark.parametrize(
    "text",
    [
        '"note: this"',
        r"http\:\/\/acme.example",
        "versions.sentiment:vader",
        "author.\\*:ann",
        "10:30",
        "author.name.keyword:x",
        "customer:x",
        "text.english:x",
        "_exists_:thread",
        "-deleted:true +source:x",
        "/jo:hn/",
    ],
)
def test_what_is_no_unknown_field_passes(text: str) -> None:
    assert query_of(Search(text=text))


@pytest.mark.parametrize(
    ("sort", "words"),
    [
        ("creatd_at", "did you mean `created_at`"),
        ("text", "running text"),
        ("author", "has parts: sort by one of them, such as `author.id`"),
        ("id:down", "write id:asc or id:desc"),
        ("zzz", r"docs/fields\.md"),
        ("likes", r"did you mean `metrics\.likes`"),
    ],
)
def test_a_sort_that_cannot_be_is_told(sort: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        sort_of(sort)


@pytest.mark.parametrize("by", ["created_at:year", "id:day", "text", "nope"])
def test_a_count_that_cannot_be_is_told(client: Elasticsearch, by: str) -> None:
    with pytest.raises(ConfigError):
        tally(client, "i", Search(), by)


def test_a_server_that_is_away_is_told() -> None:
    away = client_for(ElasticsearchSettings(), "http://127.0.0.1:1")
    with pytest.raises(RetryableError, match="`groundswell up` starts"):
        count(away, "i", Search())


def test_objects_stand_for_their_leaves() -> None:
    assert [field.name for field in leaves("intent")] == ["intent.name", "intent.probability"]
    assert exact("versions.sentiment", "count by").exact == "versions.sentiment"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22", "2026-11-22T00:00:00Z"),
        ("2026-11-22T10:00:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00Z"),
        ("2026-11-22T10:00:00.5Z", "2026-11-22T10:00:00.500000Z"),
        ("90m", "2026-11-22T08:30:00Z"),
        ("24h", "2026-11-21T10:00:00Z"),
        ("7d", "2026-11-15T10:00:00Z"),
        (" 2w ", "2026-11-08T10:00:00Z"),
    ],
)
def test_moments(written: str, meant: str) -> None:
    assert msgspec.json.encode(moment(written, NOW)).decode().strip('"') == meant


@pytest.mark.parametrize(
    "written", ["", "yesterday", "7", "7y", "-7d", "2026-13-01", "999999999w", "22.11.2026"]
)
def test_what_is_no_moment_is_told(written: str) -> None:
    with pytest.raises(ConfigError, match="is no time: write 2026-11-22"):
        moment(written, NOW)
