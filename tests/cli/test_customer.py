"""`groundswell customer find` and `show` on a true index: the right one first, and safe to look at."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from pipeline.app.customers.stage import KIND, document_of
from pipeline.cli.main import main
from pipeline.core.customer import Account, Customer
from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import prepare
from sinks.store import Put, Store

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
CUSTOMERS = (
    Customer(
        id="LW-1001",
        name="Petra Lindqvist",
        emails=("petra@x.org",),
        phones=("+12025550104",),
        accounts=(Account("x", "petra_l", "x:5"), Account("mastodon", "petra@funk.example")),
        segment="vip",
        value=1056.5,
        since=date(2021, 3, 15),
    ),
    Customer(id="LW-1002", name="Petra Lindquist", consent=True),
    Customer(id="LW-2001", name='=HYPERLINK("http://x.org","<script>alert(1)</script>")'),
    Customer(id="LW-3001", name="Nils\x1b[2J\u202e Neinsager", consent=False, emails=("nils@x.org",)),
    *(Customer(id=f"M-{n:04}", name=f"Mass Customer {n}") for n in range(30)),
)


@pytest.fixture
def store(
    client: Elasticsearch,
    elastic_settings: ElasticsearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Store]:
    """An installation whose index holds the customers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_URL", elastic_settings.url)
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_PREFIX", elastic_settings.prefix)
    monkeypatch.setenv("GROUNDSWELL_ENRICHERS_CONTACTS_REGION", "US")
    store = Store(client, elastic_settings, KIND)
    store.prepare()
    store.put([Put(one.id, 1, document_of(one, NOW)) for one in CUSTOMERS])
    store.refresh()
    yield store
    store.drop()


def found(capsys: pytest.CaptureFixture[str], text: str, *options: str) -> list[str]:
    assert main(["customer", "find", text, "--format", "json", *options]) == 0
    return [one["id"] for one in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("LW-1001", "LW-1001"),
        ("lw-20", "LW-2001"),
        (" Petra@X.org ", "LW-1001"),
        ("petra lindqvist", "LW-1001"),
        ("Lindquist, Petra", "LW-1002"),
        ("neinsager", "LW-3001"),
        ("(202) 555-0104", "LW-1001"),
        ("@Petra_L", "LW-1001"),
        ("https://twitter.com/petra_l", "LW-1001"),
        ("@petra@funk.example", "LW-1001"),
        ("x:5", "LW-1001"),
        ("nils@", "LW-3001"),
        ("petra lind", "LW-1001"),
        ("petro lindqvist", "LW-1001"),
    ],
)
def test_what_one_knows_finds_the_customer(
    store: Store, capsys: pytest.CaptureFixture[str], text: str, first: str
) -> None:
    assert found(capsys, text)[0] == first


def test_a_list_ends_at_its_limit_and_may_be_empty(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(found(capsys, "mass")) == 30, "an export is whole"
    assert len(found(capsys, "mass", "--limit", "7")) == 7
    assert main(["customer", "find", "mass"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1 + 20
    assert "--limit N shows more" in shown.err
    assert found(capsys, "nobody of that name") == []
    assert found(capsys, '"*) OR {}') == []
    for wrong in (["  "], ["x", "--limit", "0"], ["x" * 501]):
        assert main(["customer", "find", *wrong]) == 2
        capsys.readouterr()


def test_formulas_and_tags_come_out_safe(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    main(["customer", "find", "LW-2001", "--format", "csv"])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["name"] == "'" + CUSTOMERS[2].name
    main(["customer", "find", "petra", "--format", "csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    petra = next(row for row in rows if row["id"] == "LW-1001")
    assert petra["accounts"] == "x @petra_l x:5; mastodon @petra@funk.example"
    assert petra["phones"] == "'+12025550104"
    assert petra["since"] == "2021-03-15"
    for words in (["find", "neinsager"], ["show", "LW-3001"]):
        main(["customer", *words])
        out = capsys.readouterr().out
        assert "Neinsager" in out
        assert "\x1b" not in out
        assert "\u202e" not in out


def test_no_index_is_no_customers(
    store: Store, client: Elasticsearch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.drop()
    assert found(capsys, "petra") == []
    assert main(["customer", "show", "LW-1001"]) == 2
    assert "there is no customer `LW-1001`" in capsys.readouterr().err


def test_an_unknown_id_names_the_nearest(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["customer", "show", "lw-1001"]) == 2
    assert "nearest are `LW-1001`" in capsys.readouterr().err
    assert main(["customer", "show", "LW-10O1"]) == 2
    assert "`LW-1001`" in capsys.readouterr().err
    assert main(["customer", "show", "nothing like that"]) == 2
    error = capsys.readouterr().err
    assert "nearest" not in error
    assert "customer find" in error


def test_who_said_no_is_marked_first(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["customer", "show", "LW-3001"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("CONSENT: NO.")
    assert "No posts are linked to this customer." in lines
    assert "No cases are open." in lines


def post(number: int, source: str, compound: float, **more: Any) -> list[dict[str, Any]]:
    """A post of LW-1001 for the index of the prefix that `fill` puts in."""
    document = {
        "id": f"{source}:{number}",
        "source": source,
        "text": f"post {number}",
        "deleted": False,
        "created_at": f"2026-11-{number:02}T10:00:00Z",
        "customer": {"id": "LW-1001"},
        "sentiment": {"compound": compound, "label": "negative" if compound < 0 else "positive"},
    }
    return [{"index": {"_index": "", "_id": document["id"]}}, document | more]


def fill(client: Elasticsearch, settings: ElasticsearchSettings) -> None:
    prepare(client, settings)
    lines = [
        line for n in range(1, 9) for line in post(n, "x" if n % 2 else "reddit", -0.5 if n < 5 else 0.3)
    ]
    lines += post(9, "mail", -0.9, complaint={"is_complaint": True, "category": "billing"})
    lines += post(10, "x", 0.9, customer={"id": "LW-1002"})
    lines += post(11, "x", 0.9, deleted=True)
    for head in lines[::2]:
        head["index"]["_index"] = f"{settings.prefix}-posts-2026.11"
    client.bulk(operations=lines, refresh=True)


def test_everything_known_of_one(
    store: Store,
    client: Elasticsearch,
    elastic_settings: ElasticsearchSettings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(client, elastic_settings)
    cases = Store(client, elastic_settings, "cases")
    cases.prepare()
    open_case = {"id": "k-1", "queue": "vip", "priority": 1, "state": "taken", "assignee": "eve"}
    open_case |= {"customer": {"id": "LW-1001"}, "due_at": "2026-11-22T12:00:00Z"}
    cases.put([Put("k-1", 1, open_case), Put("k-2", 1, {**open_case, "id": "k-2", "state": "resolved"})])
    cases.refresh()
    try:
        assert main(["customer", "show", "LW-1001", "--format", "json"]) == 0
        known = json.loads(capsys.readouterr().out)
        assert known["customer"]["name"] == "Petra Lindqvist"
        assert (known["posts"], known["complaints"]) == (9, 1)
        assert known["posts_by_source"] == {"reddit": 4, "x": 4, "mail": 1}
        assert (known["first_seen"][:10], known["last_seen"][:10]) == ("2026-11-01", "2026-11-09")
        assert known["sentiment"] == pytest.approx((4 * -0.5 + 4 * 0.3 - 0.9) / 9)
        assert [one["id"] for one in known["last_posts"]] == ["mail:9", "reddit:8", "x:7", "reddit:6", "x:5"]
        assert [one["id"] for one in known["open_cases"]] == ["k-1"]
        assert main(["customer", "show", "LW-1001"]) == 0
        page = capsys.readouterr().out
        for words in (
            "LW-1001  Petra Lindqvist",
            "value        1,056.50 a year",
            "consent      not known",
            "x            @petra_l x:5",
            "posts        9 (reddit 4, x 4, mail 1)",
            "first seen   2026-11-01 10:00",
            "  2026-11-09 10:00  mail:9  (negative, complaint: billing)",
            "  k-1  vip  taken, eve, due 2026-11-22 12:00",
        ):
            assert words in page
        assert "CONSENT" not in page
    finally:
        cases.drop()


def test_a_page_stays_within_its_terminal(
    store: Store, client: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout", out := Terminal())
    assert main(["customer", "show", "LW-3001"]) == 0
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert "Do not speak to them of posts." in " ".join(lines)
