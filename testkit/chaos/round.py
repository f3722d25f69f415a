"""One round: an installation of its own, a stream, faults by a seed while it flows, and the verdict."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from msgspec import Struct

from pipeline.app.daemon import unfinished
from pipeline.app.topics import admin_client, ensure_topics
from pipeline.core.errors import RetryableError
from testkit.chaos import stream, verdict
from testkit.chaos.crew import PLAIN, Crew
from testkit.chaos.faults import FAULTS, Scene, committed
from testkit.chaos.ground import FEED, Ground, fed
from testkit.chaos.trouble import Sky
from testkit.chaos.verdict import Fault
from testkit.elastic_proxy import Proxy
from testkit.installation import Installation
from testkit.waiting import until

ROLES = ("directory", "enrich", "index", "collect")
NONSENSE = 20
"""Records that are no posts, sent past the collector."""
CHUNK_SECONDS = 0.15


class Plan(Struct, frozen=True):
    """All that a round is made of; the same seed, posts and names give the same stream and faults."""

    seed: int
    posts: int
    faults: tuple[str, ...]
    settings: dict[str, str]


def plan(seed: int, posts: int, faults: int, names: Sequence[str] = tuple(FAULTS)) -> Plan:
    """The round of a seed, with so many faults out of those named; each comes once before one comes twice."""
    chance = random.Random(seed)
    deck = [name for _ in range(faults // len(names) + 1) for name in chance.sample(names, len(names))]
    settings = {
        "ENGINE_BATCH_POSTS": chance.choice(("200", "500", "1000")),
        "ENGINE_IN_FLIGHT_BATCHES": chance.choice(("2", "4")),
        "ENGINE_COMMIT_SECONDS": chance.choice(("0.1", "0.5", "2")),
    }
    return Plan(seed, posts, tuple(deck[:faults]), settings)


class Outcome(Struct, frozen=True):
    """What a round came to: what is wrong, the ends of processes that nobody ordered, and the seconds
    of its parts."""

    faults: list[Fault]
    ends: list[str]
    seconds: dict[str, float]


def play(
    plan: Plan, ground: Ground, folder: Path, program: Sequence[str] = PLAIN, limit: float = 300.0
) -> Outcome:
    """Plays a round in a folder of its own; ``limit`` are the seconds in which all must have settled."""
    lines, truth = stream.stream(plan.seed, plan.posts)
    sky = Sky(Proxy(ground.addresses.elasticsearch, keep=False), random.Random(plan.seed))
    try:
        with fed(ground.addresses.kafka, sky.proxy.url, folder, plan.settings) as installation:
            crew = Crew(installation.home, installation.environ, program)
            scene = Scene(installation, crew, sky, ground.home)
            watch = _Watch()
            try:
                truth.invalid += _send_nonsense(plan, installation)
                content = b"\n".join(lines) + b"\n"
                _storm(plan, scene, folder / FEED, content)
                watch.lap("storm")
                found = _settle(scene, len(content), limit)
                sky.arrive()
                watch.lap("settling")
                found = found or verdict.faults_of(installation, truth)
                watch.lap("verdict")
            finally:
                crew.close()
                watch.lap("ending")
            if not found:
                _forget(installation)
            return Outcome(found, crew.ends, watch.laps)
    finally:
        sky.proxy.close()


class _Watch:
    """Seconds of each part."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, part: str) -> None:
        now = time.monotonic()
        self.laps[part], self._since = now - self._since, now


def _storm(plan: Plan, scene: Scene, feed: Path, content: bytes) -> None:
    """The stream and the faults."""
    size = len(content) // (len(plan.faults) + 2) + 1
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    for role in ROLES:
        scene.crew.start(role)
    _append(feed, parts[0], 0)
    admin = admin_client(scene.installation.kafka)
    until(lambda: bool(committed(admin, f"{scene.installation.prefix}-index")), 120, "the stream flows")
    admin.close()
    for number, (name, part) in enumerate(zip(plan.faults, parts[1:-1], strict=True)):
        feeder = threading.Thread(target=_append, args=(feed, part, CHUNK_SECONDS))
        feeder.start()
        try:
            FAULTS[name](scene, random.Random(f"{plan.seed} {number} {name}"))
        finally:
            feeder.join()
    _append(feed, parts[-1], CHUNK_SECONDS)
    scene.sky.settle()


def _settle(scene: Scene, size: int, limit: float) -> list[Fault]:
    """Waits until all of the feed is worked off; what hinders that."""
    try:
        until(lambda: _settled(scene.installation, size), limit, "everything settles")
    except AssertionError as error:
        return [Fault("everything settles", "-", f"{error}; {_progress(scene.installation)}")]
    return []


def _append(feed: Path, part: bytes, rest: float) -> None:
    """In twenty pieces that end wherever it falls, mostly within a line."""
    size = len(part) // 20 + 1
    for start in range(0, len(part), size):
        with feed.open("ab") as out:
            out.write(part[start : start + size])
        time.sleep(rest)


def _settled(installation: Installation, size: int) -> bool:
    with suppress(RetryableError, OSError, ValueError):
        cursor = json.loads((installation.home / "cursors" / "feed.json").read_bytes())
        return cursor["offset"] == size and unfinished(installation.settings, installation.kafka) == 0
    return False


def _progress(installation: Installation) -> str:
    try:
        cursor = (installation.home / "cursors" / "feed.json").read_text()
        return f"cursor {cursor}, {unfinished(installation.settings, installation.kafka)} records left"
    except (RetryableError, OSError) as error:
        return str(error)


def _send_nonsense(plan: Plan, installation: Installation) -> list[bytes]:
    topics = ensure_topics(installation.kafka, installation.settings.kafka)
    records = stream.nonsense(plan.seed, NONSENSE)
    producer = Producer({"bootstrap.servers": installation.settings.kafka.bootstrap})
    for number, record in enumerate(records):
        producer.produce(topics.posts.name, record, b"key-%d" % number)
    assert producer.flush(30) == 0
    return records


def _forget(installation: Installation) -> None:
    """Takes away what a green round left on the servers; failing that, it stays, for no harm."""
    client, prefix = installation.client, installation.prefix
    for name in client.indices.get(index=f"{prefix}-*"):
        client.indices.delete(index=name)
    client.options(ignore_status=404).indices.delete_index_template(name=f"{prefix}-*")
    admin = AdminClient({"bootstrap.servers": installation.settings.kafka.bootstrap})
    ours = [name for name in admin.list_topics(timeout=30).topics if name.startswith(f"{prefix}.")]
    for done in admin.delete_topics(ours).values():
        done.result(30)


def program_of(mutant: str | None) -> Sequence[str]:
    """What runs `groundswell` with this fault planted, or without any."""
    return PLAIN if mutant is None else (sys.executable, "-m", "testkit.chaos.mutant", mutant)
