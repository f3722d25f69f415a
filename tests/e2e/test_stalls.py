"""A worker that stands still says so and ends itself; what retention took away is told, and work goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from kafka import TopicPartition

from pipeline.app.health import present
from pipeline.app.offsets import spans
from pipeline.app.topics import admin_client, ensure_topics
from testkit.installation import Installation
from testkit.waiting import until

Posts = Callable[[int], list[dict[str, Any]]]

WORKER = """
import asyncio, sys, threading
from pathlib import Path
from pipeline.app import health, logs
from pipeline.app.brokers import Brokers
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.worker import Role, Worker
from pipeline.core.settings import EngineSettings, KafkaSettings, Settings

bootstrap, topic, home, how, tell, end = sys.argv[1:]
logs.set_up("info")

class Stage:
    '''Confirms all but what is on partition 1, as `how` tells.'''

    async def begin(self, batch):
        loop = asyncio.get_running_loop()
        if how == "thread" and batch.partition == 1:
            return loop.run_in_executor(None, threading.Event().wait)
        if how == "loop" and batch.partition == 1:
            threading.Event().wait()
        done = loop.create_future()
        done.set_result((len(batch.records), 0))
        return done

    def close(self):
        pass

async def starve(worker):
    '''Stops the fetching of one partition behind everybody's back, as was seen in the field.'''
    while True:
        inner = worker._app.consumer._thread._consumer if worker._app.consumer._thread else None
        for tp in inner.assignment() if inner else ():
            if tp.partition == 1:
                inner.pause(tp)
        await asyncio.sleep(0.001)

async def main():
    state = Health("enrich", Meters())
    runner, port = await health.serve(state, "127.0.0.1", 0)
    health.announce(Path(home), "enrich", port)
    worker = Worker(
        Role("enrich", topic + "-group"), {topic: Stage()},
        settings=Settings(engine=EngineSettings(stall_seconds=float(tell), stall_exit_seconds=float(end))),
        brokers=Brokers(bootstrap), state=state, home=Path(home),
    )
    if how == "fetch":
        starving = asyncio.ensure_future(starve(worker))
    await worker.run(asyncio.Event())

from pipeline.app import watchdog
watchdog.GRACE_SECONDS = 3.0
asyncio.run(main())
"""


@pytest.fixture
def run_worker(
    installation: Installation, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a worker of the posts topic that stalls in the given way; its log is `worker.log`. A stall is
    told after ``tell`` seconds, and ends it after ``end``."""
    started: list[subprocess.Popen[bytes]] = []
    topics = ensure_topics(installation.kafka, installation.settings.kafka)

    def run(how: str, tell: float = 30, end: float = 60) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-c",
            WORKER,
            str(installation.kafka),
            topics.posts.name,
            str(tmp_path),
            how,
            str(tell),
            str(end),
        ]
        with (tmp_path / "worker.log").open("ab") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def fill(installation: Installation, posts: Posts, tmp_path: Path) -> str:
    """Sends posts to all partitions of the posts topic; returns its name."""
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(post) for post in posts(400)))
    assert installation.command("replay", str(file)).returncode == 0
    return ensure_topics(installation.kafka, installation.settings.kafka).posts.name


def lags(installation: Installation, topic: str) -> dict[int, int]:
    """By partition."""
    admin = admin_client(installation.kafka)
    try:
        return {number: span.lag for number, span in spans(admin, topic, f"{topic}-group").items()}
    finally:
        admin.close()


def until_worked_off(installation: Installation, topic: str, why: str) -> None:
    """Waits until no partition has anything left."""
    until(lambda: not any(lags(installation, topic).values()), why=why)


def ready(home: Path) -> tuple[int, dict[str, str]]:
    """Status and reasons of the worker's page."""
    port = present(home)[0].port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
            return answer.status, json.load(answer)["waits_for"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["waits_for"]


@pytest.mark.parametrize("how", ["thread", "fetch"])
def test_a_stalled_partition_is_told_and_the_process_ends(
    how: str,
    installation: Installation,
    posts: Posts,
    tmp_path: Path,
    run_worker: Callable[..., subprocess.Popen[bytes]],
) -> None:
    topic = fill(installation, posts, tmp_path)
    process = run_worker(how, tell=2, end=12)
    told = (503, {"stall": f"no progress of {topic}-1"})
    until(lambda: bool(present(tmp_path)) and ready(tmp_path) == told, why="the page tells of the stall")
    assert process.wait(60) == 1
    assert [number for number, lag in lags(installation, topic).items() if lag] == [1], "the others went on"
    log = (tmp_path / "worker.log").read_text()
    assert f"{topic}-1 has not moved for" in log
    assert "batches not confirmed" in log or "nothing was fetched" in log
    assert "most recent call first" in log, "where the threads stand is told"
    again = run_worker("healthy")
    until_worked_off(installation, topic, "a new process goes on")
    assert again.poll() is None


def test_an_event_loop_that_hangs_ends_the_process(
    installation: Installation,
    posts: Posts,
    tmp_path: Path,
    run_worker: Callable[..., subprocess.Popen[bytes]],
) -> None:
    fill(installation, posts, tmp_path)
    process = run_worker("loop", tell=2, end=5)
    assert process.wait(60) == 1
    log = (tmp_path / "worker.log").read_text()
    assert "its event loop has not answered for" in log
    assert "does not end by itself; killing it" in log


def test_a_frozen_process_that_thaws_does_not_take_that_for_a_stall(
    installation: Installation,
    posts: Posts,
    tmp_path: Path,
    run_worker: Callable[..., subprocess.Popen[bytes]],
) -> None:
    import signal

    topic = fill(installation, posts, tmp_path)
    process = run_worker("healthy", tell=6, end=7)
    until_worked_off(installation, topic, "it works")
    process.send_signal(signal.SIGSTOP)
    fill(installation, posts, tmp_path)
    time.sleep(9)
    process.send_signal(signal.SIGCONT)
    until_worked_off(installation, topic, "it goes on")
    assert process.poll() is None
    assert "not moved" not in (tmp_path / "worker.log").read_text()


def test_what_retention_took_away_is_told_and_work_goes_on(
    installation: Installation,
    posts: Posts,
    tmp_path: Path,
    run_worker: Callable[..., subprocess.Popen[bytes]],
) -> None:
    topic = fill(installation, posts, tmp_path)
    process = run_worker("healthy")
    until_worked_off(installation, topic, "it works")
    process.kill()
    process.wait()
    producer = Producer({"bootstrap.servers": str(installation.kafka)})
    for number in range(30):
        producer.produce(topic, b"%d" % number, b"key", partition=2)
    producer.flush()
    admin = admin_client(installation.kafka)
    end = spans(admin, topic, f"{topic}-group")[2].after
    admin.delete_records({TopicPartition(topic, 2): end - 10})
    admin.close()
    run_worker("healthy")
    until_worked_off(installation, topic, "it goes on")
    log = (tmp_path / "worker.log").read_text()
    assert f"{topic}-2: offsets {end - 30} to {end - 11} were removed by retention" in log
    assert "20 records are lost" in log


def test_the_markers_of_transactions_are_no_records_that_are_still_to_come(
    installation: Installation,
    posts: Posts,
    tmp_path: Path,
    run_worker: Callable[..., subprocess.Popen[bytes]],
) -> None:
    topic = fill(installation, posts, tmp_path)
    producer = Producer({"bootstrap.servers": str(installation.kafka), "transactional.id": topic})
    producer.init_transactions()
    for _ in range(3):
        producer.begin_transaction()
        for number in range(8):
            producer.produce(topic, b"%d" % number, b"key", partition=number % 2)
        producer.commit_transaction()
    process = run_worker("healthy")
    until_worked_off(installation, topic, "the markers are passed over at the end of a partition")
    again = Producer({"bootstrap.servers": str(installation.kafka)})
    for partition in range(4):
        again.produce(topic, b"after the markers", b"key", partition=partition)
    again.flush()
    until_worked_off(installation, topic, "it goes on behind them")
    log = (tmp_path / "worker.log").read_text()
    assert process.poll() is None
    assert "records are lost" not in log
    assert "has not moved" not in log
