"""A true role is brought into trouble, a true Prometheus scrapes its page, and shipped alerts fire and end.

What is shipped waits for minutes before it wakes anybody; here that is seconds, all else is as it is.
"""

from __future__ import annotations

import json
import os
import random
import re
import threading
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from confluent_kafka import Producer as ConfluentProducer

from pipeline.app.health import present
from pipeline.app.topics import ensure_topics
from pipeline.embedded.ports import RANGE, is_free
from pipeline.embedded.servers import Addresses
from testkit.elastic_proxy import Answer, Proxy
from testkit.installation import Installation
from testkit.monitoring.server import Prometheus, program, watching
from testkit.waiting import until

ALERTS = Path(__file__).parents[2] / "configs" / "monitoring" / "prometheus-alerts.yml"
AWAY = {"GroundswellElasticsearchAway", "GroundswellNotReady", "GroundswellBehind"}
# Batches that had to wait for long count among those of the last ten minutes.
REMEMBERED = {"GroundswellSlowBatches"}
# Roles that this test does not start.
ELSEWHERE = {"GroundswellRoleMissing"}


@pytest.mark.skipif("CI" not in os.environ, reason="only where all must be tested")
def test_nothing_is_skipped_for_want_of_prometheus() -> None:
    assert program() is not None, ".ci/run installs it"


class Trouble:
    """An Elasticsearch that is away while a test says so."""

    def __init__(self, target: str) -> None:
        self.away = threading.Event()
        self.proxy = Proxy(target)
        self.proxy.behaviour = lambda *_: Answer(503, b"{}") if self.away.is_set() else None


@pytest.fixture
def trouble(servers: Addresses) -> Iterator[Trouble]:
    one = Trouble(servers.elasticsearch)
    yield one
    one.proxy.close()


@pytest.fixture
def installation(servers: Addresses, prefix: str, tmp_path: Path, trouble: Trouble) -> Iterator[Installation]:
    home = tmp_path / "home"
    one = Installation(home, prefix, servers.kafka, trouble.proxy.url, GROUNDSWELL_LOG_FORMAT="json")
    yield one
    one.close()


def send_events(installation: Installation) -> None:
    """As enrich would publish them."""
    lines = (files("configs") / "demo" / "posts.jsonl").read_bytes().splitlines()[:20]
    enriched = installation.command("enrich", stdin=b"\n".join(lines))
    assert enriched.returncode == 0, enriched.stderr
    topics = ensure_topics(installation.kafka, installation.settings.kafka)
    producer = ConfluentProducer(installation.kafka.for_confluent())
    for line in enriched.stdout.splitlines():
        producer.produce(topics.events.name, line, json.loads(line)["post"]["id"].encode())
    assert producer.flush(30) == 0


def shares_out(target: str) -> float:
    """How often the group of a role gave it partitions."""
    with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
        found = re.search(r"^groundswell_rebalances_total\{.*\} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def names(prometheus: Prometheus) -> set[str]:
    return set(prometheus.firing())


@pytest.mark.skipif(
    program() is None, reason="Prometheus is not installed: apt-get install prometheus (.ci/run does)"
)
def test_alerts_fire_and_end(installation: Installation, trouble: Trouble, tmp_path: Path) -> None:
    trouble.away.set()
    send_events(installation)
    daemon = installation.daemon("collect", "index")
    until(lambda: {one.role for one in present(installation.home)} == {"collect", "index"}, why="both began")
    targets = [f"127.0.0.1:{one.port}" for one in present(installation.home)]
    port = next(port for port in random.sample(RANGE, 100) if is_free(port))
    with watching(ALERTS, tmp_path / "prometheus", targets, port) as prometheus:
        until(lambda: names(prometheus) == AWAY | ELSEWHERE, why=f"{AWAY} fire and no other")
        firing = prometheus.firing()
        assert {one["labels"]["role"] for one in firing["GroundswellElasticsearchAway"]} == {"index"}
        assert {one["labels"]["role"] for one in firing["GroundswellRoleMissing"]} == {"enrich", "directory"}
        (behind,) = firing["GroundswellBehind"]
        assert 5 < float(behind["value"]) < 600
        said = [text for alerts in firing.values() for one in alerts for text in one["annotations"].values()]
        assert any(re.match(r"index is [0-9ms. ]+ behind", text) for text in said)
        assert not [text for text in said if "<error" in text or "<no value>" in text or "{{" in text]
        trouble.away.clear()
        until(lambda: names(prometheus) - REMEMBERED == ELSEWHERE, why="they end when Elasticsearch is back")
        assert any(shares_out(target) > 0 for target in targets)
        assert daemon.stop() == 0
        until(lambda: len(prometheus.firing().get("GroundswellRoleDown", [])) == 2, why="both are told")
    for line in installation.log().splitlines():
        entry = json.loads(line)
        assert entry["event.dataset"] in ("groundswell.run", "groundswell.collect", "groundswell.index"), line
