"""A role's process: its pages, its clean end, and that it does not live on when its agent cannot."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from pipeline.app.health import present
from pipeline.app.log_reader import read_topic
from pipeline.app.topics import ensure_topics, topics_of
from testkit.installation import Installation
from testkit.waiting import until

Posts = Callable[[int], list[dict[str, Any]]]


@pytest.fixture
def installation(install: Callable[..., Installation]) -> Installation:
    """One that links no customers: enrich then needs no role beside it."""
    return install(GROUNDSWELL_ENRICH_STEPS="language,sentiment,entities,complaint")


def page(installation: Installation, role: str, path: str) -> tuple[int, str]:
    """Status and text of a page of a running role."""
    port = next(note.port for note in present(installation.home) if note.role == role)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def count(installation: Installation, topic: str) -> int:
    """Records of a topic."""
    return sum(len(portion) for portion in read_topic(installation.kafka, topic))


def test_sigterm_finishes_the_batch_commits_and_ends_with_0(
    installation: Installation, posts: Posts, tmp_path: Path
) -> None:
    file = tmp_path / "posts.jsonl"
    total = 3000
    file.write_bytes(b"\n".join(msgspec.json.encode(post) for post in posts(total)))
    assert installation.command("replay", str(file)).returncode == 0
    topics = topics_of(installation.settings.kafka)
    runs = 0
    # Told to end again and again in the middle of the stream: what is done is done once.
    while True:
        runs += 1
        before = count(installation, topics.events.name)
        daemon = installation.daemon("enrich")
        until(
            lambda before=before: (
                count(installation, topics.events.name) > before
                or count(installation, topics.events.name) == total
            ),
            why="something is enriched",
        )
        assert daemon.stop() == 0, installation.log()[-2000:]
        assert "ended cleanly" in installation.log()
        if count(installation, topics.events.name) >= total:
            break
        assert runs < 30
    assert count(installation, topics.events.name) == total, "an end that commits repeats nothing"


def test_pages_of_a_working_role(installation: Installation, posts: Posts, tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(post) for post in posts(50)) + b"\n{}\n")
    daemon = installation.daemon("enrich")
    until(lambda: installation.role_pid("enrich") is not None, why="the role announces itself")
    until(lambda: page(installation, "enrich", "/readyz")[0] == 200, why="the role gets ready")
    assert json.loads(page(installation, "enrich", "/readyz")[1]) == {
        "role": "enrich",
        "ready": True,
        "waits_for": {},
    }
    assert page(installation, "enrich", "/healthz")[0] == 200
    assert page(installation, "enrich", "/nonsense")[0] == 404
    installation.command("replay", str(file))
    producer = Producer(installation.kafka.for_confluent())
    producer.produce(topics_of(installation.settings.kafka).posts.name, b"no post", b"key")
    producer.flush()
    wanted = (
        'records_out_total{outcome="applied",role="enrich"} 50.0',
        'outcome="rejected",role="enrich"} 1.0',
    )
    until(
        lambda: all(line in page(installation, "enrich", "/metrics")[1] for line in wanted), why="it counts"
    )
    assert 'groundswell_ready{role="enrich"} 1.0' in page(installation, "enrich", "/metrics")[1]
    assert daemon.stop() == 0
    assert present(installation.home) == [], "an ended role leaves no note"


EXPLODING = """
import asyncio, sys
from pathlib import Path
from pipeline.app.health import Health
from pipeline.app.brokers import Brokers
from pipeline.app.meters import Meters
from pipeline.app.worker import Role, Worker
from pipeline.core.settings import Settings

class Stage:
    async def begin(self, batch):
        raise {error}
    def close(self):
        pass

async def main():
    worker = Worker(
        Role("enrich", sys.argv[2] + "-group"), {{sys.argv[2]: Stage()}}, settings=Settings(),
        brokers=Brokers(sys.argv[1]), state=Health("enrich", Meters()), home=Path(sys.argv[3]),
    )
    await worker.run(asyncio.Event())

asyncio.run(main())
"""


def test_a_crashed_agent_ends_the_process_with_status_1(
    installation: Installation, posts: Posts, tmp_path: Path
) -> None:
    topics = ensure_topics(installation.kafka, installation.settings.kafka)
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(post) for post in posts(5)))
    assert installation.command("replay", str(file)).returncode == 0
    script = EXPLODING.format(error='RuntimeError("an unforeseen fault")')
    ended = subprocess.run(
        [sys.executable, "-c", script, installation.kafka.address, topics.posts.name, str(tmp_path)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert b"RuntimeError: an unforeseen fault" in ended.stderr
    assert installation.command("audit").returncode == 0
    ledger, _ = installation.audit()
    assert ledger.in_flight == 5, "nothing of the failed batch was committed"
