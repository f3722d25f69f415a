"""What was sent too late is followed by the newest state once more."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.app.amends import Late, LateNotes, amends, newest
from pipeline.app.batch_driver import Keeper, RecordBatch, Standing
from pipeline.app.brokers import Brokers
from pipeline.app.enrich_stage import EnrichStage
from pipeline.app.log_reader import LogRecord, read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.site import now
from pipeline.app.topics import Topic, Topics, ensure_topics, topics_of
from pipeline.core.errors import FatalError
from pipeline.core.event import CustomerLink, decode_event
from pipeline.core.ledger import Lane
from pipeline.core.newest import Newest
from pipeline.core.process import Chain
from pipeline.core.settings import KafkaSettings
from testkit.waiting import until


def state(number: int, day: int) -> bytes:
    """A state of a post: never edited on day 0."""
    edited = {"edited_at": f"2026-11-{day:02}T00:00:00Z"} if day else {}
    return json.dumps({"id": f"x:{number}", "text": f"as of {day}", "author": {"id": "a"}, **edited}).encode()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1), st.data())
def test_the_newest_state_of_each_post_that_was_sent(rows: list[tuple[int, int]], data: Any) -> None:
    log = [
        LogRecord(0, offset, 0, b"x:%d" % number, state(number, day))
        for offset, (number, day) in enumerate(rows)
    ]
    places = sorted(data.draw(st.sets(st.integers(0, len(log)), min_size=2, max_size=4)))
    late = [Late(0, first, after) for first, after in pairwise(places)][::2]
    first: dict[bytes, int] = {}
    for one in late:
        for record in log[one.first : one.after]:
            first.setdefault(record.key, record.offset)
    found = {record.key: record for record in newest(log, late)}
    for key, offset in first.items():
        days = [rows[one.offset][1] for one in log if one.key == key and one.offset >= offset]
        assert rows[found[key].offset][1] == max(days)
    assert set(found) == set(first)


def test_what_is_no_post_is_passed_over() -> None:
    log = [LogRecord(0, 0, 0, b"x:1", b"nonsense"), LogRecord(0, 1, 0, b"x:1", None)]
    assert newest(log, [Late(0, 0, 1)]) == []


class Stands(Keeper):
    """Says one thing after another, and the last for ever."""

    def __init__(self, *standings: Standing) -> None:
        self.left = list(standings)

    def standing(self, _batch: RecordBatch) -> Standing:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def ground(kafka: str, prefix: str) -> tuple[Brokers, Topics]:
    """Topics of one partition."""
    settings = KafkaSettings(bootstrap=kafka, prefix=prefix, partitions=1)
    brokers = Brokers(kafka, settings)
    return brokers, ensure_topics(brokers, settings)


def records_of(brokers: Brokers, topic: Topic, start: int = 0) -> list[LogRecord]:
    """All from an offset on."""
    return [one for portion in read_topic(brokers, topic.name, 0, start={0: start}) for one in portion]


@contextmanager
def staged(
    brokers: Brokers, topics: Topics, *steps: Any, notes: LateNotes | None = None
) -> Iterator[EnrichStage]:
    """What enriches, as in a process of its own."""
    producer = Producer(brokers)
    stage = EnrichStage(
        Chain([(step.assigns, step) for step in steps]),
        producer,
        topics,
        prefix="p",
        clock=now,
        load=lambda _: Newest(),
        amends=lambda late: amends(brokers, topics.posts.name, late),
        notes=notes,
    )
    yield stage
    stage.close()
    producer.close()


def enrich(
    brokers: Brokers,
    topics: Topics,
    records: Sequence[LogRecord],
    keeper: Keeper,
    *steps: Any,
    notes: LateNotes | None = None,
) -> None:
    """A process of its own takes these records as one batch, and is done with it."""
    lane = Lane()
    entry = lane.begin(records[0].offset, records[-1].offset + 1)
    batch = RecordBatch(topics.posts.name, 0, list(records), lane, entry, keeper)

    async def run(stage: EnrichStage) -> None:
        await asyncio.wait_for(await stage.begin(batch), 30)

    with staged(brokers, topics, *steps, notes=notes) as stage:
        asyncio.run(run(stage))


def fill(brokers: Brokers, topics: Topics, *values: bytes) -> None:
    """Puts states of posts into their topic."""
    producer = Producer(brokers)
    keys = [json.loads(value)["id"].encode() for value in values]
    producer.deliver([Record(topics.posts.name, *one) for one in zip(keys, values, strict=True)])
    producer.close()


def results(kafka: str, prefix: str, keeper: Keeper) -> tuple[int, list[bytes | None]]:
    """How many events came of a post that was edited behind its batch, and what the posts topic got."""
    brokers, topics = ground(kafka, prefix)
    fill(brokers, topics, *(state(1, day) for day in (0, 3, 2)), state(2, 1))
    enrich(brokers, topics, records_of(brokers, topics.posts)[:1], keeper)
    events = len(records_of(brokers, topics.events))
    return events, [one.value for one in records_of(brokers, topics.posts, 4)]


def test_a_batch_that_stays_ours_is_sent_and_nothing_beside(kafka: str, prefix: str) -> None:
    assert results(kafka, prefix, Stands("held", "unknown", "held")) == (1, [])


def test_a_batch_that_went_to_another_before_it_was_sent_is_not_sent(kafka: str, prefix: str) -> None:
    assert results(kafka, prefix, Stands("held", "unknown", "lost")) == (0, [])


def test_a_batch_that_went_to_another_while_it_was_sent_is_followed_by_the_newest(
    kafka: str, prefix: str
) -> None:
    assert results(kafka, prefix, Stands("held", "held", "unknown", "lost")) == (1, [state(1, 3)])


class By:
    """Links everybody to the customer whom its state of the directory has for them."""

    requires = ("post",)
    assigns = "customer"
    version = "by"

    def __init__(self, customer: str) -> None:
        self.customer = customer

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[CustomerLink]:
        return [CustomerLink(self.customer, 0.9) for _ in columns["post"]]


def test_a_link_by_an_older_directory_does_not_stay_behind_a_newer_one(kafka: str, prefix: str) -> None:
    """Who was frozen had linked the post before the customer changed; who took over linked it afterwards,
    and nothing newer of the post ever comes."""
    brokers, topics = ground(kafka, prefix)
    fill(brokers, topics, state(1, 0))
    there = records_of(brokers, topics.posts)
    enrich(brokers, topics, there, Keeper(), By("new"))
    enrich(brokers, topics, there, Stands("held", "held", "lost"), By("old"))
    enrich(brokers, topics, records_of(brokers, topics.posts, 1), Keeper(), By("new"))
    events = [decode_event(one.value or b"") for one in records_of(brokers, topics.events)]
    assert [event.customer and event.customer.id for event in events] == ["new", "old", "new"]


def die_late(kafka: str, prefix: str, folder: Path) -> None:
    """Sends the first post, and does not know yet whether it was late."""
    brokers, topics = ground(kafka, prefix)
    there = records_of(brokers, topics.posts)[:1]
    enrich(brokers, topics, there, Stands("held", "held", "unknown"), notes=LateNotes(folder))


def test_a_death_before_amends_are_made_costs_nothing(kafka: str, prefix: str, tmp_path: Path) -> None:
    brokers, topics = ground(kafka, prefix)
    fill(brokers, topics, state(1, 0), state(1, 3), state(2, 1))
    notes = tmp_path / "late"
    process = subprocess.Popen([sys.executable, "-P", __file__, kafka, prefix, notes])
    try:
        until(lambda: bool(records_of(brokers, topics.events)), why="it has sent the post")
        until(lambda: bool(LateNotes(notes).left()), why="it noted that it may be late")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    strange = Late(7, 0, 1)
    LateNotes(notes).enter(strange)
    with staged(brokers, topics, notes=LateNotes(notes)) as stage:
        stage.make_good(1)
        until(lambda: LateNotes(notes).left() == [strange], 20, "it is made good")
    assert [one.value for one in records_of(brokers, topics.posts, 3)] == [state(1, 3)]


@pytest.mark.parametrize(
    "keeper", [Stands("held"), Stands("held", "held", "unknown", "held"), Stands("lost")]
)
def test_what_is_not_late_leaves_no_note(kafka: str, prefix: str, tmp_path: Path, keeper: Keeper) -> None:
    brokers, topics = ground(kafka, prefix)
    fill(brokers, topics, state(1, 0))
    enrich(brokers, topics, records_of(brokers, topics.posts), keeper, notes=LateNotes(tmp_path / "late"))
    assert LateNotes(tmp_path / "late").left() == []
    assert len(records_of(brokers, topics.posts)) == 1


def test_a_home_that_takes_no_files_stops_nothing(
    kafka: str, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    brokers, topics = ground(kafka, prefix)
    fill(brokers, topics, state(1, 0))
    (tmp_path / "late").write_text("a file where a folder belongs")
    keeper = Stands("held", "held", "lost")
    enrich(brokers, topics, records_of(brokers, topics.posts), keeper, notes=LateNotes(tmp_path / "late"))
    assert "cannot be noted" in caplog.text
    assert len(records_of(brokers, topics.posts)) == 2


def test_it_ends_while_nobody_can_know_whether_the_batch_is_still_ours() -> None:
    asked = threading.Event()

    class Unknown(Keeper):
        def standing(self, _batch: RecordBatch) -> Standing:
            asked.set()
            return "unknown"

    producer = Producer(Brokers("127.0.0.1:1"))
    topics = topics_of(KafkaSettings())
    stage = EnrichStage(Chain([]), producer, topics, prefix="p", clock=now, load=lambda _: Newest())
    lane = Lane()
    record = LogRecord(0, 0, 0, b"x:1", state(1, 0))
    batch = RecordBatch(topics.posts.name, 0, [record], lane, lane.begin(0, 1), Unknown())

    async def run() -> None:
        taken = asyncio.ensure_future(stage.begin(batch))
        await asyncio.to_thread(asked.wait, 10)
        await asyncio.wait_for(asyncio.to_thread(stage.close), 10)
        with pytest.raises(FatalError, match="did not answer"):
            await taken

    asyncio.run(run())
    producer.close()


if __name__ == "__main__":
    die_late(*sys.argv[1:3], Path(sys.argv[3]))
