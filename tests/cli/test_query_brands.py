"""`groundswell query` where brands, queues and customers come in, over the demo's posts in a true index."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from pipeline.app.registry import build_chain
from pipeline.app.share_of_voice import voices_of
from pipeline.cli.main import main
from pipeline.core.brands import read_brands
from pipeline.core.configuration import read_settings
from pipeline.core.event import CustomerLink, Event
from pipeline.core.post import decode_post
from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import ElasticSink, drop
from sinks.store import Put, Store

CONFIGS = Path(__file__).parents[2] / "configs"
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
SETTINGS = f"""
[enrich]
steps = ["direction", "language", "sentiment", "entities", "complaint", "route"]
[enrichers.direction]
file = "{CONFIGS}/brands.toml"
[enrichers.entities]
file = "{CONFIGS}/brands.toml"
[enrichers.route]
file = "{CONFIGS}/routing.toml"
"""
LINKED = {"x:881023136": "C-1", "x:881023105": "C-2", "x:881023135": "C-3"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installation")
    (folder / "groundswell.toml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def events(folder: Path) -> list[Event]:
    """The demo's posts in their newest state, some of their authors linked to customers."""
    chain = build_chain(read_settings(folder / "groundswell.toml", {}))
    posts = [decode_post(line) for line in (CONFIGS / "demo" / "posts.jsonl").read_bytes().splitlines()]
    newest: dict[str, Event] = {}
    for event in chain.process(posts, [NOW] * len(posts), prefix="unset", now=NOW):
        assert isinstance(event, Event)
        if customer := LINKED.get(event.post.author.id):
            event = replace(event, customer=CustomerLink(customer, 1.0, ("account",), "gold"))
        if event.post.id not in newest or event.version >= newest[event.post.id].version:
            newest[event.post.id] = event
    return list(newest.values())


@pytest.fixture(scope="module")
def index(elasticsearch: str, events: list[Event]) -> Iterator[ElasticsearchSettings]:
    from sinks.elastic import client_for

    settings = ElasticsearchSettings(url=elasticsearch, prefix="brands-test")
    client = client_for(settings, elasticsearch)
    ElasticSink(client, settings).write(
        [replace(event, index=event.index.replace("unset", settings.prefix)) for event in events]
    )
    customers = Store(client, settings, "customers")
    customers.prepare()
    customers.put([Put(f"C-{n}", 1, {"id": f"C-{n}", "name": name}) for n, name in ((1, "=Ann"), (2, "Bo"))])
    customers.refresh()
    client.indices.refresh(index=f"{settings.prefix}-*")
    yield settings
    customers.drop()
    drop(client, settings.prefix)
    client.close()


@pytest.fixture
def asked(index: ElasticsearchSettings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GROUNDSWELL_HOME", str(folder / "home"))
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_URL", index.url)
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_PREFIX", index.prefix)


def query(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status = main(["query", *arguments])
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    return out


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(query(capsys, *arguments, "--format", "json"))
    return found


def live(events: list[Event]) -> list[Event]:
    return [event for event in events if not event.post.deleted]


@pytest.mark.usefixtures("asked")
class TestCounts:
    @pytest.mark.parametrize("field", ["entities.id", "routes.queue", "complaint.category"])
    def test_by_what_the_steps_found(
        self, field: str, events: list[Event], capsys: pytest.CaptureFixture[str]
    ) -> None:
        expected: Counter[str] = Counter()
        for event in live(events):
            if field == "entities.id":
                expected.update({entity.id for entity in event.entities})
            elif field == "routes.queue":
                expected.update({route.queue for route in event.routes})
            elif event.complaint and event.complaint.category:
                expected[event.complaint.category] += 1
        assert len(expected) > 4
        found = rows(capsys, "--count-by", field)
        assert {row[field]: row["count"] for row in found} == expected

    def test_by_customer_with_the_name_where_people_read_it(
        self, events: list[Event], capsys: pytest.CaptureFixture[str]
    ) -> None:
        expected = Counter(event.customer.id for event in live(events) if event.customer)
        assert set(expected) == {"C-1", "C-2", "C-3"}
        found = rows(capsys, "--count-by", "customer.id")
        assert {row["customer.id"]: row["count"] for row in found} == expected
        assert all(row.keys() == {"customer.id", "count"} for row in found)
        table = [line.split() for line in query(capsys, "--count-by", "customer.id").splitlines()]
        assert table[0] == ["customer.id", "customer.name", "count"]
        assert ["C-1", "=Ann", str(expected["C-1"])] in table
        assert ["C-3", str(expected["C-3"])] in table
        [segment] = rows(capsys, "--count-by", "customer.segment")
        assert segment == {"customer.segment": "gold", "count": expected.total()}


@pytest.mark.usefixtures("asked")
class TestNames:
    def test_are_joined_to_posts(self, events: list[Event], capsys: pytest.CaptureFixture[str]) -> None:
        names = {"C-1": "=Ann", "C-2": "Bo"}
        expected = {
            event.post.id: names.get(event.customer.id) if event.customer else None for event in live(events)
        }
        found = rows(capsys, "--fields", "id,customer.name")
        assert {row["id"]: row["customer.name"] for row in found} == expected
        assert all(row.keys() == {"id", "customer.name"} for row in found)

    def test_in_csv_and_parquet(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        asked = ("_exists_:customer.id", "--fields", "customer.id,customer.name")
        found = list(csv.DictReader(io.StringIO(query(capsys, *asked, "--format", "csv"))))
        named = {row["customer.id"]: row["customer.name"] for row in found}
        assert named == {"C-1": "'=Ann", "C-2": "Bo", "C-3": ""}
        target = tmp_path / "names.parquet"
        query(capsys, *asked, "--output", str(target))
        named = {row["customer.id"]: row["customer.name"] for row in pq.read_table(target).to_pylist()}
        assert named == {"C-1": "=Ann", "C-2": "Bo", "C-3": None}

    def test_cannot_be_asked_sorted_or_counted_by(self, capsys: pytest.CaptureFixture[str]) -> None:
        for call in (["customer.name:Ann"], ["--sort", "customer.name"], ["--count-by", "customer.name"]):
            assert main(["query", *call]) == 2
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert "go by `customer.id`" in err


@pytest.mark.usefixtures("asked")
class TestShareOfVoice:
    def heard(self, events: list[Event]) -> dict[str, list[Event]]:
        """The posts of each brand, reckoned from the events one by one."""
        found: dict[str, list[Event]] = {}
        for voice in voices_of(read_brands(CONFIGS / "brands.toml")):
            found[voice.id] = [
                event
                for event in live(events)
                if event.post.direction == "inbound"
                and any(entity.id in voice.members for entity in event.entities)
            ]
        return found

    def test_is_that_of_the_events(self, events: list[Event], capsys: pytest.CaptureFixture[str]) -> None:
        heard = self.heard(events)
        whole = sum(map(len, heard.values()))
        found = rows(capsys, "--share-of-voice")
        assert {row["id"] for row in found} == set(heard)
        assert found[0]["id"] == "brand:larkwell"
        for row in found:
            some = heard[row["id"]]
            moods = [event.sentiment.compound for event in some if event.sentiment]
            assert row["posts"] == len(some) > 0
            assert row["share"] == pytest.approx(100 * len(some) / whole, abs=0.01)
            assert row["complaints"] == sum(bool(e.complaint and e.complaint.is_complaint) for e in some)
            assert row["sentiment"] == pytest.approx(sum(moods) / len(moods))

    def test_by_week_the_counts_are_the_same_in_all(
        self, events: list[Event], capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = rows(capsys, "--share-of-voice", "--by", "week")
        periods = list(dict.fromkeys(row["period"] for row in found))
        assert len(periods) > 4
        assert periods == sorted(periods)
        assert all(datetime.fromisoformat(period).weekday() == 0 for period in periods)
        totals: Counter[str] = Counter()
        for row in found:
            totals[row["id"]] += row["posts"]
        assert totals == {id: len(some) for id, some in self.heard(events).items()}

    def test_filters_hold(self, events: list[Event], capsys: pytest.CaptureFixture[str]) -> None:
        since = datetime(2026, 11, 1, tzinfo=UTC)
        expected = {
            id: sum(
                bool(e.post.source == "x" and e.post.created_at and e.post.created_at >= since) for e in some
            )
            for id, some in self.heard(events).items()
        }
        found = rows(capsys, "source:x", "--since", "2026-11-01", "--share-of-voice")
        assert {row["id"]: row["posts"] for row in found} == expected

    def test_many_brands_and_periods_are_asked_for_in_parts(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = rows(capsys, "--share-of-voice", "--by", "day")
        monkeypatch.setattr("pipeline.app.share_of_voice.TOGETHER", 2)
        monkeypatch.setattr("pipeline.app.share_of_voice._BUCKETS", 12)
        assert rows(capsys, "--share-of-voice", "--by", "day") == whole

    def test_formats(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        table = query(capsys, "--share-of-voice").splitlines()
        assert table[0].split() == ["id", "name", "kind", "posts", "share", "complaints", "sentiment"]
        target = tmp_path / "voice.parquet"
        query(capsys, "--share-of-voice", "--by", "month", "--output", str(target))
        assert pq.read_table(target).column_names[0] == "period"

    def test_wrong_calls_are_told(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert main(["query", "--by", "week"]) == 2
        assert "--by goes with --share-of-voice" in capsys.readouterr().err
        (tmp_path / "bare.toml").write_text("")
        assert main(["--config", str(tmp_path / "bare.toml"), "query", "--share-of-voice"]) == 2
        assert "name a brands file" in capsys.readouterr().err

    def test_without_an_index_nobody_was_heard(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_PREFIX", "nothing-here")
        assert {row["posts"] for row in rows(capsys, "--share-of-voice")} == {0}
        assert rows(capsys, "--share-of-voice", "--by", "day") == []
