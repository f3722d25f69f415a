"""The directory follows the customers topic, whatever becomes of the topic and of the builder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from pipeline.app.brokers import Brokers
from pipeline.app.directory.builder import DirectoryBuilder
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer, Record
from pipeline.app.site import log, now
from pipeline.app.topics import ensure_topics
from pipeline.core.customer import Account, Customer, encode_customer
from pipeline.core.errors import ConfigError
from pipeline.core.linking import handle_key
from pipeline.core.settings import KafkaSettings
from pipeline.identity.directory import DirectoryReader, DirectoryWriter
from testkit.waiting import until


class Scene:
    """A customers topic, and builders of one directory one after the other."""

    def __init__(self, kafka: str, prefix: str, path: Path) -> None:
        self.settings = KafkaSettings(bootstrap=kafka, prefix=prefix, partitions=2)
        self.kafka = Brokers(kafka, self.settings)
        self.topic = ensure_topics(self.kafka, self.settings).customers.name
        self.path = path
        self.reader = DirectoryReader(path)
        self.producer = Producer(self.kafka)
        self.health = Health("directory", Meters())
        self._builders: list[DirectoryBuilder] = []

    def build(self, clock: Callable[[], datetime] = now) -> DirectoryBuilder:
        builder = DirectoryBuilder(
            self.kafka,
            self.topic,
            self.path,
            health=self.health,
            patience=Patience("kafka", self.health, log),
            clock=clock,
        )
        self._builders.append(builder)
        builder.start()
        return builder

    def built(self, clock: Callable[[], datetime] = now) -> DirectoryBuilder:
        """A builder that has read all there is."""
        builder = self.build(clock)
        until(lambda: "directory" not in self.health.reasons, why="the directory is built")
        return builder

    def books(self, *customers: Customer, gone: tuple[str, ...] = ()) -> None:
        self.producer.deliver(
            [
                *(Record(self.topic, c.id.encode(), encode_customer(c)) for c in customers),
                *(Record(self.topic, id.encode(), None) for id in gone),
            ]
        )

    def holders(self, handle: str) -> list[str]:
        with self.reader.moment() as moment:
            return list(moment.holders(handle_key("x", handle)))

    def remake(self) -> None:
        """The topic is deleted, and made anew without a record."""
        admin = AdminClient(self.kafka.for_confluent())
        for gone in admin.delete_topics([self.topic]).values():
            gone.result(10)
        until(lambda: self.topic not in admin.list_topics(timeout=5).topics, why="it is gone")
        ensure_topics(self.kafka, self.settings)

    def close(self) -> None:
        for builder in self._builders:
            builder.end()
        self.reader.close()
        self.producer.close()


@pytest.fixture
def scene(kafka: str, prefix: str, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(kafka, prefix, tmp_path / "directory")
    yield scene
    scene.close()


def customer(id: str, handle: str = "") -> Customer:
    return Customer(id=id, accounts=(Account("x", handle or id),))


def test_it_follows_the_topic_and_goes_on_where_it_stood(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.books(*(customer(f"c{i}") for i in range(200)))
    builder = scene.built()
    assert scene.reader.customers() == 200
    scene.books(customer("c1", "other"), gone=("c2",))
    until(lambda: scene.holders("other") == ["c1"] and scene.holders("c2") == [])
    assert scene.holders("c1") == []
    fresh = scene.reader.fresh_at()
    assert fresh is not None
    until(lambda: (scene.reader.fresh_at() or fresh) > fresh + timedelta(seconds=1), why="it stays fresh")
    assert builder.is_past({0: 1, 1: 1})
    assert not builder.is_past({0: 10_000})
    builder.end()
    scene.books(customer("c300"))
    stood = scene.reader.revision()
    scene.built()
    assert scene.holders("c300") == ["c300"]
    assert scene.reader.revision() == stood + 1, "only what was new was read"
    assert "anew" not in caplog.text


def test_an_empty_topic_makes_a_fresh_directory(scene: Scene) -> None:
    scene.built()
    assert scene.reader.fresh_at() is not None
    assert scene.reader.customers() == 0


def test_a_bad_record_is_left_out_and_stops_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    bad = [(b"c1", b"{"), (b"c1", b'{"id":"c2"}'), (b"\xff", b'{"id":"c3"}'), (b"", None)]
    scene.producer.deliver([Record(scene.topic, key, value) for key, value in bad])
    scene.books(customer("c4"))
    scene.built()
    assert scene.reader.customers() == 1
    assert caplog.text.count("is left out") == len(bad)
    fresh = scene.reader.fresh_at()
    assert fresh is not None, "bad records at the end do not keep it from being fresh"


def test_a_topic_made_anew_is_read_anew_also_under_a_running_builder(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.books(*(customer(f"c{i}") for i in range(50)))
    builder = scene.built()
    scene.remake()
    scene.books(customer("d1"))
    until(lambda: scene.holders("d1") == ["d1"] and scene.reader.customers() == 1, why=caplog.text)
    assert "reading all customers anew" in caplog.text
    assert not builder.over.done()


def test_a_directory_that_was_away_for_too_long_is_built_anew(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The topic may have forgotten that a customer is gone."""
    scene.books(customer("c1"))
    long_ago = now() - timedelta(days=100)
    scene.built(clock=lambda: long_ago).end()
    writer = DirectoryWriter(scene.path)
    writer.close()
    scene.health.waits("directory", "again")
    scene.built()
    assert "the topic may have forgotten" in caplog.text
    assert scene.holders("c1") == ["c1"]


def test_one_builder_a_machine(scene: Scene) -> None:
    scene.built()
    second = scene.build()
    with pytest.raises(ConfigError, match="another process writes"):
        second.over.result(timeout=60)


def test_the_next_builder_waits_for_the_end_of_the_one_before(scene: Scene) -> None:
    first = scene.built()
    second = scene.build()
    until(lambda: "another process writes" in scene.health.reasons.get("directory", ""), why="it waits")
    first.end()
    until(lambda: "directory" not in scene.health.reasons, why="it goes on")
    assert not second.over.done()


def test_a_moment_is_noted_only_when_all_up_to_it_was_read(scene: Scene) -> None:
    """The clock stands at the time of the question, not of the answer."""
    ticks = iter(range(10**6))
    start = datetime(2026, 11, 22, tzinfo=UTC)
    scene.books(customer("c1"))
    scene.built(clock=lambda: start + timedelta(seconds=next(ticks)))
    noted = scene.reader.fresh_at()
    assert noted is not None
    assert noted < start + timedelta(seconds=next(ticks) - 1)
