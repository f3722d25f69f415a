"""Years in minutes: dropped months leave everywhere for good, closed ones take what comes late."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pipeline.app.cases.journal import journal_to
from pipeline.app.daemon import Daemon
from pipeline.app.health import Health
from pipeline.app.log_reader import read_topic
from pipeline.app.meters import Meters
from pipeline.app.producer import Producer
from pipeline.app.reconstruction import Log
from pipeline.app.site import Site
from pipeline.app.tidying import cases as case_sweep
from pipeline.app.tidying.daily import Tidying
from pipeline.app.tidying.record import Records
from pipeline.app.tidying.tidier import Tidier
from pipeline.app.topics import ensure_topics, topics_of
from pipeline.core.case import Case, change
from pipeline.core.errors import RetryableError
from pipeline.core.event import Event
from pipeline.core.post import Author, Post
from pipeline.core.retention import Expiry
from sinks import elastic, months
from sinks.cases import Cases
from testkit.installation import Installation, rows_of
from testkit.waiting import until

ROLES = ("enrich", "index", "directory")
LINE = dict[str, Any]


@pytest.fixture
def strict(install: Callable[..., Installation]) -> Installation:
    """One that keeps August 2026 and later, at the date of these tests; the months follow the calendar."""
    return install(GROUNDSWELL_RETENTION_MONTHS="3")


@pytest.fixture
def plain(install: Callable[..., Installation]) -> Installation:
    """One that keeps all, and needs no directory."""
    return install(GROUNDSWELL_ENRICH_STEPS="language")


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def month(now: datetime, back: int) -> str:
    """A moment in the month so many before this one."""
    years, number = divmod(now.year * 12 + now.month - 1 - back, 12)
    return f"{years}-{number + 1:02}-11T10:00:00Z"


def post(id: str, created: str | None, author: str = "x:ann", **more: Any) -> LINE:
    made: LINE = {"id": id, "text": f"words of {id}", "author": {"id": author, "handle": author[2:]}} | more
    return made | ({"created_at": created} if created else {})


def replay(installation: Installation, daemon: Daemon, *lines: LINE) -> None:
    stdin = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    done = installation.command("replay", "-", stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    installation.settle(daemon)


def tidy(installation: Installation, *words: str) -> list[dict[str, Any]]:
    done = installation.command("tidy", "--format", "json", *words)
    assert done.returncode == 0, done.stderr.decode()
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def living(installation: Installation, topic: str) -> set[str]:
    """The keys of a topic whose last record is no tombstone."""
    found: set[str] = set()
    for portion in read_topic(installation.kafka, topic):
        for record in portion:
            (found.discard if record.value is None else found.add)(record.key.decode())
    return found


def authors(installation: Installation) -> dict[str, int]:
    index = f"{installation.prefix}-authors"
    installation.client.indices.refresh(index=index, ignore_unavailable=True)
    hits = installation.client.search(index=index, size=100)["hits"]["hits"]
    return {hit["_id"]: hit["_source"]["posts"] for hit in hits}


def test_months_past_their_time_leave_everywhere_and_do_not_come_back(
    installation: Installation, strict: Installation, now: datetime
) -> None:
    daemon = installation.daemon(*ROLES)
    old, gone, kept = month(now, 7), month(now, 5), month(now, 1)
    lines = [
        post("x:old", old),
        post("x:deleted", gone),
        post("x:dateless", gone, "x:bob"),
        post("x:kept", kept, "x:bob"),
        post("x:undated-old", None, collected_at=old),
        post("x:undated", None, "x:bob", collected_at=month(now, 0)[:8] + "01T00:00:00Z"),
    ]
    replay(installation, daemon, *lines)
    replay(installation, daemon, {"id": "x:deleted", "deleted": True, "created_at": gone})
    replay(installation, daemon, post("x:dateless", None, "x:bob", edited_at=kept, collected_at=kept))
    until(lambda: authors(installation).get("x:bob") == 3, why="the authors are reckoned")
    daemon.stop()
    assert strict.audit()[1] == [], "what is only about to be dropped is no fault"

    planned = tidy(strict, "--dry-run")
    assert len(strict.documents()) == len(lines), "a dry run does nothing"
    assert {row["name"] for row in planned if row["what"] == "drop"} == {
        f"{strict.prefix}-posts-{when[:4]}.{when[5:7]}" for when in (old, gone)
    }
    tidy(strict)
    # The one whose date was lost with its edit is what a rebuild makes of it: an undated post.
    expected = {"x:kept", "x:undated", "x:dateless"}
    assert rows_of(strict.documents()).keys() == expected
    topics = topics_of(strict.settings.kafka)
    assert living(strict, topics.events.name) == expected
    assert living(strict, topics.changes.name) == {"x:dateless"}
    assert strict.audit()[1] == []

    daemon = strict.daemon(*ROLES)
    until(lambda: "x:ann" not in authors(strict), why="whose posts are all gone is forgotten")
    assert authors(strict)["x:bob"] == 3
    replay(
        strict,
        daemon,
        post("x:old", old, edited_at=kept),
        post("x:late", gone),
        {"id": "x:old", "deleted": True, "created_at": old},
        post("x:new", kept),
    )
    assert rows_of(strict.documents()).keys() == expected | {"x:new"}
    ledger, findings = strict.audit()
    assert findings == []
    assert ledger.expired >= 5
    daemon.stop()
    assert strict.command("rebuild", "--yes").returncode == 0
    assert rows_of(strict.documents()).keys() == expected | {"x:new"}
    assert strict.audit()[1] == []
    assert tidy(strict, "--dry-run") == [], "nothing is left to do"


def test_a_closed_month_takes_what_comes_late_and_is_closed_again(plain: Installation, now: datetime) -> None:
    daemon = plain.daemon("enrich", "index")
    old = month(now, 6)
    replay(plain, daemon, *(post(f"x:{n}", old) for n in range(50)))
    replay(plain, daemon, *(post(f"x:{n}", old) for n in range(50, 60)))
    name = f"{plain.prefix}-posts-{old[:4]}.{old[5:7]}"

    def state() -> months.Index:
        held = months.indices(plain.client, plain.prefix)
        return next(index for index in held if index.name == name)

    tidy(plain)
    assert state().closed
    assert state().blocked
    until(lambda: state().segments == 1, why="the month is merged")
    replay(plain, daemon, post("x:1", old, edited_at=month(now, 0)))
    replay(plain, daemon, {"id": "x:2", "deleted": True}, post("x:60", old))
    replay(plain, daemon, {"id": "x:3", "deleted": True, "created_at": old})
    assert not state().closed
    assert not state().blocked
    assert plain.log().count("takes writes again") == 1, "it is opened once, not for every post"
    documents = rows_of(plain.documents())
    assert documents["x:1"].source["edited_at"]
    assert documents["x:2"].source["deleted"]
    assert documents["x:3"].source["deleted"]
    assert {document.index for document in documents.values()} == {name}
    assert [row["what"] for row in tidy(plain)] == ["close"], "three late changes are not worth a merge"
    assert state().closed
    daemon.stop()
    # A sink that begins adds fields to closed months, too.
    sink = elastic.build(plain.settings.elasticsearch, plain.elasticsearch)
    elastic.prepare(sink.client, plain.settings.elasticsearch)
    sink.close()
    assert plain.audit()[1] == []


def test_whoever_writes_waits_while_a_month_is_dropped_and_a_broken_off_drop_is_finished(
    strict: Installation, now: datetime
) -> None:
    settings = strict.settings
    early = elastic.build(settings.elasticsearch, strict.elasticsearch)
    old = datetime.fromisoformat(month(now, 6))
    name = f"{strict.prefix}-posts-{old:%Y.%m}"
    said = Post(id="x:1", text="a", author=Author(id="x:ann"), created_at=old)
    assert early.write([Event(post=said, index=name, version=1, processed_at=now)]) == [None]
    late = elastic.build(settings.elasticsearch, strict.elasticsearch, expiry=lambda: settings.expiry(now))
    edit = Event(
        post=Post(id="x:1", text="b", author=Author(id="x:ann")),
        index=f"{strict.prefix}-posts-undated",
        version=2 << 24,
        processed_at=now,
    )
    months.block(strict.client, strict.prefix, name)
    with pytest.raises(RetryableError, match="takes no writes"):
        late.write([deleted(said, name, now)])
    producer = Producer(strict.kafka)
    topics = topics_of(settings.kafka)
    Tidier(strict.client, settings, Log(strict.kafka, topics, producer)).finish_dropping(now)
    producer.close()
    assert not strict.client.indices.exists(index=name)
    assert late.write([deleted(said, name, now)]) == [None]
    assert not strict.client.indices.exists(index=name), "a deletion brings no month back"
    assert late.write([edit]) == [None]
    assert rows_of(strict.documents())["x:1"].index == edit.index
    early.close()
    late.close()


def deleted(said: Post, name: str, now: datetime) -> Event:
    stub = Post(id=said.id, text="", created_at=said.created_at, deleted=True)
    return Event(post=stub, index=name, version=(2**39 - 1) << 24, processed_at=now)


def test_old_stubs_leave_and_young_ones_stay(plain: Installation, now: datetime) -> None:
    daemon = plain.daemon("enrich", "index")
    replay(plain, daemon, post("x:1", month(now, 5)), post("x:2", month(now, 5)))
    replay(plain, daemon, {"id": "x:1", "deleted": True})
    daemon.stop()
    producer = Producer(plain.kafka)
    topics = topics_of(plain.settings.kafka)
    tidier = Tidier(plain.client, plain.settings, Log(plain.kafka, topics, producer))
    tidier.run(now)
    assert rows_of(plain.documents()).keys() == {"x:1", "x:2"}
    tidier.run(now + timedelta(days=13 * 31))
    producer.close()
    assert rows_of(plain.documents()).keys() == {"x:2"}
    assert living(plain, topics.events.name) == {"x:2"}
    assert living(plain, topics.changes.name) == set()


def test_one_worker_has_the_work_of_a_day_and_from_its_hour_on(plain: Installation, now: datetime) -> None:
    topics = ensure_topics(plain.kafka, plain.settings.kafka)
    elastic.prepare(plain.client, plain.settings.elasticsearch)
    producer = Producer(plain.kafka)
    site = Site(plain.settings, plain.home, Health("index", Meters()))
    first, second = (Tidying(site, topics, producer, plain.elasticsearch) for _ in range(2))
    records = Records(plain.client, plain.settings.elasticsearch)
    night = now.replace(hour=2)
    first.look(night)
    assert records.read() is None
    morning = now.replace(hour=3)
    first.look(morning)
    done = records.read()
    assert done is not None
    assert (done.began_at, done.finished_at) == (morning, morning)
    second.look(morning + timedelta(hours=1))
    first.look(morning + timedelta(hours=1))
    assert records.read() == done, "the day's work is done once"
    second.look(morning + timedelta(days=1))
    again = records.read()
    assert again is not None
    assert again.began_at == morning + timedelta(days=1)
    status = plain.command("status", "--format", "json")
    (row,) = [row for row in json.loads(status.stdout) if row["part"] == "retention"]
    assert row["state"] == "done"
    for one in (first, second):
        one.start()
        one.end()
    producer.close()


def test_resolved_cases_go_with_their_posts_and_open_ones_stay(
    installation: Installation, now: datetime
) -> None:
    cases = Cases(installation.client, installation.settings.elasticsearch)
    cases.prepare()
    cases.finish()
    producer = Producer(installation.kafka)
    topics = ensure_topics(installation.kafka, installation.settings.kafka)
    written = Log(installation.kafka, topics, producer)
    journal = journal_to(producer, topics)
    long_ago = now - timedelta(days=200)

    def opened(id: str, state: str, at: datetime) -> None:
        def work(id: str, _: Case | None) -> Case:
            case = change(Case(id=id), "opened", long_ago, queue="q", opened_at=long_ago)
            return change(case, "noted", at, by="ann", state=state)

        cases.change([id], work, journal)

    opened("a", "resolved", long_ago)
    opened("b", "taken", long_ago)
    opened("c", "resolved", now)
    past = Expiry(posts=now - timedelta(days=100))
    assert case_sweep.sweep(written, cases, installation.prefix, past) == 1
    assert case_sweep.sweep(written, cases, installation.prefix, past) == 0
    cases.store.refresh()
    assert {held.case.id for held in cases.all()} == {"b", "c"}
    assert {key.split("/")[0] for key in living(installation, topics.cases.name)} == {"b", "c"}
    producer.close()
    assert installation.audit()[1] == []
