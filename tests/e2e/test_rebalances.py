"""Workers that come and go while posts stream, and topics of one worker that go on beside each other."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from kafka.admin import KafkaAdminClient

from pipeline.app.log_reader import read_topic
from pipeline.app.offsets import spans
from pipeline.app.topics import admin_client
from testkit.installation import Installation
from testkit.pair import Pair
from testkit.waiting import until

Posts = Callable[[int], list[dict[str, Any]]]


def test_workers_that_come_and_go_lose_nothing(pair: Pair, posts: Posts) -> None:
    wanted = posts(6_000)

    def passed() -> int:
        return sum(span.after for span in pair.spans("index").values())

    leaving = pair.first.daemon("enrich")
    until(lambda: pair.members("enrich") == 1, why="the first has partitions")
    pair.send(wanted[:2_000])
    until(lambda: passed() > 0, why="the first is at work")
    staying = pair.second.daemon("enrich")
    pair.send(wanted[2_000:4_000])
    until(lambda: pair.members("enrich") == 2, why="the second has some of its partitions")
    pair.send(wanted[4_000:])
    assert leaving.stop() == 0, pair.first.log()[-2000:]
    until(lambda: not any(span.lag for span in pair.spans("enrich").values()), why="the other goes on alone")
    assert staying.stop() == 0, pair.second.log()[-2000:]
    events = Counter(
        record.key.decode()
        for portion in read_topic(pair.first.kafka, pair.topics.events.name)
        for record in portion
    )
    assert set(events) == {post["id"] for post in wanted}, "none is lost and none made up"


TWO_TOPICS = """
import asyncio, sys
from pathlib import Path
from pipeline.app.brokers import Brokers
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.worker import Role, Worker
from pipeline.core.settings import EngineSettings, Settings

bootstrap, stuck, free, home = sys.argv[1:]

class Stage:
    def __init__(self, confirms):
        self.confirms = confirms

    async def begin(self, batch):
        done = asyncio.get_running_loop().create_future()
        if self.confirms:
            done.set_result((len(batch.records), 0))
        return done

    def close(self):
        pass

async def main():
    worker = Worker(
        Role("directory", stuck + "-group"), {stuck: Stage(False), free: Stage(True)},
        settings=Settings(engine=EngineSettings(batch_posts=10)),
        brokers=Brokers(bootstrap), state=Health("directory", Meters()), home=Path(home),
    )
    await worker.run(asyncio.Event())

asyncio.run(main())
"""


def test_a_topic_that_is_full_keeps_no_other_waiting(
    installation: Installation, tmp_path: Path, prefix: str
) -> None:
    stuck, free = f"{prefix}.stuck", f"{prefix}.free"
    admin: KafkaAdminClient = admin_client(installation.kafka)
    topic = {"num_partitions": 4, "replication_factor": 1}
    admin.create_topics({stuck: topic, free: topic}, wait_for_metadata=True)
    fill(installation, stuck, 400)
    command = [sys.executable, "-c", TWO_TOPICS, str(installation.kafka), stuck, free, str(tmp_path)]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(3):
            fill(installation, free, 100)
            until(lambda: worked_off(admin, free, f"{stuck}-group"), why="the other topic goes on")
        assert process.poll() is None, (tmp_path / "worker.log").read_text()
        lags = [span.lag for span in spans(admin, stuck, f"{stuck}-group").values()]
        assert sum(lags) == 400, "what is never confirmed is never committed"
    finally:
        process.kill()
        process.wait()
        admin.close()


def fill(installation: Installation, topic: str, records: int) -> None:
    """Spreads so many records over the partitions of the topic."""
    producer = Producer(installation.kafka.for_confluent())
    for number in range(records):
        producer.produce(topic, b"%d" % number, b"%d" % number, partition=number % 4)
    producer.flush()


def worked_off(admin: KafkaAdminClient, topic: str, group: str) -> bool:
    """Whether the group has confirmed every record."""
    found = spans(admin, topic, group)
    return sum(span.committed - span.first for span in found.values()) > 0 and not any(
        span.lag for span in found.values()
    )
