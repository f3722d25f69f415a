"""The enrich stage: one outcome a record, and never an older state after a newer one."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from pipeline.app.batch_driver import RecordBatch
from pipeline.app.brokers import Brokers
from pipeline.app.enrich_stage import EnrichStage
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer
from pipeline.app.topics import topics_of
from pipeline.core.case import case_id
from pipeline.core.errors import FatalError, RetryableError
from pipeline.core.event import Language, Route, decode_event
from pipeline.core.headers import again, once_more
from pipeline.core.ledger import Lane
from pipeline.core.newest import Newest
from pipeline.core.process import Chain
from pipeline.core.rejection import decode_rejection
from pipeline.core.rerouting import Before
from pipeline.core.retention import RetentionSettings, expiry
from pipeline.core.settings import KafkaSettings
from pipeline.core.version import unpack

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOPICS = topics_of(KafkaSettings())


class Picky:
    """An enricher that cannot take one word."""

    requires = ("post",)
    assigns = "language"
    version = "picky-1"

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[Language]:
        if any("poison" in post.text for post in columns["post"]):
            raise ValueError("poisoned")
        return [Language("en", 1.0) for _ in columns["post"]]


class Fetched(Struct):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def fetched(*values: bytes | dict[str, Any] | None) -> list[Fetched]:
    """Records as they come from the posts topic."""
    raw = [json.dumps(value).encode() if isinstance(value, dict) else value for value in values]
    return [Fetched("posts", 0, place, 1795000000000, b"k", value) for place, value in enumerate(raw)]


def post(text: str, edited: int | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"id": "x:1", "text": text, "author": {"id": "x:a"}}
    return made | ({"edited_at": f"2026-11-{edited:02}T00:00:00Z"} if edited else {})


DELETION: dict[str, Any] = {"id": "x:1", "deleted": True}


@pytest.fixture
def stage() -> EnrichStage:
    return EnrichStage(
        Chain([("picky", Picky())]),
        None,  # type: ignore[arg-type]
        TOPICS,
        prefix="p",
        clock=lambda: NOW,
        load=lambda _: Newest(),
    )


def texts(stage: EnrichStage, newest: Newest, *values: bytes | dict[str, Any] | None) -> list[str]:
    """What is published of what comes, deletions as a dash."""
    records, _ = stage.results(fetched(*values), newest)
    events = [decode_event(r.value or b"") for r in records if r.topic == TOPICS.events.name]
    return ["-" if event.post.deleted else event.post.text for event in events]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("arrivals", "published"),
    [
        ([post("one"), post("two", 2), post("one")], ["one", "two"]),
        ([post("three", 3), post("two", 2), post("three", 3)], ["three", "three"]),
        ([post("one"), DELETION, post("one"), post("two", 2), DELETION], ["one", "-", "-"]),
        ([post("one"), post("one")], ["one", "one"]),
        ([post("poison", 3), post("two", 2)], ["two"]),
    ],
)
def test_an_older_state_is_not_published(
    stage: EnrichStage, arrivals: list[dict[str, Any]], published: list[str], together: bool
) -> None:
    newest = Newest()
    if together:
        assert texts(stage, newest, *arrivals) == published
    else:
        assert [text for arrival in arrivals for text in texts(stage, newest, arrival)] == published


def test_one_outcome_a_record_whatever_is_wrong_with_it(stage: EnrichStage) -> None:
    records, counts = stage.results(fetched(post("good"), b"{", None, b"[]", post("poison")), Newest())
    assert [record.topic for record in records] == [TOPICS.events.name] + [TOPICS.rejected.name] * 4
    refused = [decode_rejection(record.value or b"") for record in records[1:]]
    assert sorted((entry.reason, entry.origin) for entry in refused) == [
        ("enricher", "posts-0-4"),
        ("invalid", "posts-0-3"),
        ("unreadable", "posts-0-1"),
        ("unreadable", "posts-0-2"),
    ]
    assert counts == (1, 4)


def test_changes_are_kept_beyond_the_process(stage: EnrichStage) -> None:
    records, _ = stage.results(fetched(post("one"), post("two", 2), DELETION), Newest())
    kept = [record for record in records if record.topic == TOPICS.changes.name]
    assert [record.key for record in kept] == [b"x:1", b"x:1"], "the edit and the deletion"
    restarted = Newest({"x:1": int(kept[-1].value or b"0")})
    assert texts(stage, restarted, post("one"), post("two", 2)) == []
    assert texts(stage, restarted, DELETION) == ["-"]


class Fickle(Picky):
    """An enricher whose directory is being built for a while."""

    def __init__(self) -> None:
        self.tries = 0

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[Language]:
        self.tries += 1
        if self.tries < 3:
            raise RetryableError("being built")
        return super().enrich(columns)


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def send(self, records: Sequence[Any]) -> Future[None]:
        self.records += records
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def abandon(self) -> None:
        pass


def test_what_a_step_misses_for_a_while_is_tried_again_and_doubles_nothing() -> None:
    sent = Sent()
    stage = EnrichStage(
        Chain([("picky", Fickle())]),
        sent,  # type: ignore[arg-type]
        TOPICS,
        prefix="p",
        clock=lambda: NOW,
        load=lambda _: Newest(),
    )
    lane = Lane()
    records = fetched(post("one"), post("two", 2))
    batch = RecordBatch("posts", 0, records, lane, lane.begin(0, 2))
    _, counts = stage._work(batch)
    stage.close()
    assert counts == (2, 0)
    topics = [record.topic for record in sent.records]
    assert topics == [TOPICS.changes.name, TOPICS.events.name, TOPICS.events.name]


def under(operation: bytes, *values: dict[str, Any]) -> list[Fetched]:
    """Records that came under an operation."""
    return [
        msgspec.structs.replace(record, headers=(("operation", operation),)) for record in fetched(*values)
    ]


def parts(records: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Edit, operation and observation of each event among the records."""
    raw = [record.value for record in records if record.topic == TOPICS.events.name]
    return [unpack(decode_event(value).version) for value in raw]


@pytest.mark.parametrize("together", [True, False])
def test_a_relink_counts_and_a_refresh_after_it_too(stage: EnrichStage, together: bool) -> None:
    seen = {"created_at": "2026-11-20T00:00:00Z", "collected_at": "2026-11-21T00:00:00Z"}
    arrivals = [
        *fetched(post("one")),
        *under(b"1", post("one")),
        *fetched(post("one") | seen),
        *under(b"nonsense", post("one") | seen),
        *fetched(post("two", 2)),
        *under(b"2", post("one")),
    ]
    newest = Newest()
    batches = [arrivals] if together else [[one] for one in arrivals]
    found = [part for batch in batches for part in parts(stage.results(batch, newest)[0])]
    edit = found[-1][0]
    assert edit > 0
    observed = found[2][2]
    assert observed > 0
    assert found == [(0, 0, 0), (0, 1, 0), (0, 1, observed), (0, 1, observed), (edit, 0, 0)]


def test_a_relink_that_is_refused_lifts_nothing_and_says_under_which_operation_it_came(
    stage: EnrichStage,
) -> None:
    newest = Newest()
    records, counts = stage.results(
        [*under(b"3", post("poison")), *fetched(post("poison"), post("one"))], newest
    )
    refused = [decode_rejection(r.value or b"") for r in records if r.topic == TOPICS.rejected.name]
    assert [entry.operation for entry in refused] == [3, 0]
    assert refused[0].id != refused[1].id
    assert parts(records) == [(0, 0, 0)]
    assert counts == (1, 2)


class Sorter:
    """Routes by a word of the text, and never what is ours."""

    requires = ("post",)
    assigns = "routes"
    version = "sorter-1"

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[tuple[Route, ...]]:
        both = (Route("one", 2, "r1", NOW), Route("two", 5, "r2"))
        return [both if "route" in post.text else () for post in columns["post"]]


def sorting() -> EnrichStage:
    return EnrichStage(
        Chain([("sorter", Sorter())]),
        None,  # type: ignore[arg-type]
        TOPICS,
        prefix="p",
        clock=lambda: NOW,
        load=lambda _: Newest(),
    )


def test_each_route_has_a_notice_without_a_word_of_the_post() -> None:
    stage = sorting()
    ours = post("route us") | {"direction": "outbound"}
    records, counts = stage.results(fetched(post("route me"), post("plain"), ours, DELETION), Newest())
    notices = [record for record in records if ".queue." in record.topic]
    assert [(record.topic, record.key) for record in notices] == [
        ("groundswell.queue.one", b"x:1"),
        ("groundswell.queue.two", b"x:1"),
    ]
    first, second = (json.loads(record.value or b"") for record in notices)
    assert first == {
        "id": case_id("x:a", "x:1"),
        "post_id": "x:1",
        "queue": "one",
        "priority": 2,
        "rule": "r1",
        "due_at": "2026-11-22T12:00:00Z",
        "version": 0,
        "source": "x",
        "processed_at": "2026-11-22T12:00:00Z",
    }
    assert second["id"] == case_id("x:a", "x:1", "two")
    assert counts == (4, 0), "a notice is no outcome of its own"


def test_a_post_linked_anew_is_told_of_only_where_it_is_new_and_is_due_when_it_was() -> None:
    stage = sorting()
    promised = datetime(2026, 11, 20, tzinfo=UTC)
    sent = again(1, {}, Before((Route("one", 3, "r0", promised), Route("left", 4, "r9")), held=True))
    headers = tuple((name, value.encode()) for name, value in sent)
    (record,) = fetched(post("route me"))
    records, _ = stage.results([msgspec.structs.replace(record, headers=headers)], Newest())
    (event,) = (decode_event(one.value or b"") for one in records if one.topic == TOPICS.events.name)
    assert event.routes == (Route("one", 2, "r1", promised), Route("two", 5, "r2"))
    assert [one.topic for one in records if ".queue." in one.topic] == ["groundswell.queue.two"]


def resent(before: Before) -> Fetched:
    headers = tuple((name, value.encode()) for name, value in once_more(1, before))
    return msgspec.structs.replace(fetched(post("route me"))[0], headers=headers)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("held_first", [True, False])
def test_a_relinking_and_a_reenrichment_that_meet_open_a_case_once_and_lose_none(
    held_first: bool, together: bool
) -> None:
    """Neither knows of the other, and both have the same number."""
    stage = sorting()
    known = (Route("two", 5, "r2"),)
    arrivals = [resent(Before(known, held=held)) for held in (held_first, not held_first, True)]
    newest = Newest()
    batches = [arrivals] if together else [[one] for one in arrivals]
    records = [record for batch in batches for record in stage.results(batch, newest)[0]]
    events = [decode_event(one.value or b"") for one in records if one.topic == TOPICS.events.name]
    assert [route.queue for route in events[-1].routes] == ["one", "two"]
    assert [one.topic for one in records if ".queue." in one.topic] == ["groundswell.queue.one"]
    # Whoever takes the partition over has only what is told.
    (held, *_) = (
        decode_event(one.value or b"")
        for one in stage.results([resent(Before(known, held=True))], Newest())[0]
        if one.topic == TOPICS.events.name
    )
    assert [route.queue for route in held.routes] == ["two"]


def test_a_clock_that_jumped_ahead_has_no_post_passed_over() -> None:
    keeps = RetentionSettings(months=13)
    taken_in = datetime.fromtimestamp(fetched(b"")[0].timestamp / 1000, UTC)
    recent = post("hello") | {"created_at": f"{taken_in - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"}
    old = post("hello") | {"id": "x:2", "created_at": f"{taken_in - timedelta(days=500):%Y-%m-%dT%H:%M:%SZ}"}
    for now in (taken_in, taken_in + timedelta(days=1000)):
        stage = EnrichStage(
            Chain([("picky", Picky())]),
            None,  # type: ignore[arg-type]
            TOPICS,
            prefix="p",
            clock=lambda now=now: now,  # type: ignore[misc]
            load=lambda _: Newest(),
            expiry=lambda moment: expiry(keeps, 30, moment),
        )
        assert texts(stage, Newest(), recent, old) == ["hello"]


def test_it_ends_while_it_waits_for_the_memory_of_a_partition() -> None:
    asked = threading.Event()

    def away(_: int) -> Newest:
        asked.set()
        raise RetryableError("Kafka is away")

    health = Health("enrich", Meters())
    producer = Producer(Brokers("127.0.0.1:1"))
    stage = EnrichStage(
        Chain([("picky", Picky())]),
        producer,
        TOPICS,
        prefix="p",
        clock=lambda: NOW,
        load=away,
        patience=Patience("kafka", health, logging.getLogger()),
    )
    lane = Lane()
    batch = RecordBatch("posts", 0, fetched(post("one")), lane, lane.begin(0, 1))

    async def run() -> None:
        taken = asyncio.ensure_future(stage.begin(batch))
        await asyncio.to_thread(asked.wait, 10)
        await asyncio.wait_for(asyncio.to_thread(stage.close), 10)
        with pytest.raises(FatalError, match="stopped while waiting"):
            await taken

    asyncio.run(run())
    producer.close()
