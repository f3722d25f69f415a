"""A server away at full inflow: collection goes on or waits, memory stays flat, and all is caught up.

`benchmarks/backpressure.py` plays the same for ten minutes.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.embedded.servers import Addresses
from testkit.chaos.ground import Ground
from testkit.chaos.outage import ROLES, outage

SECONDS = 16.0
RATE = 300
WARM = 6


def test_elasticsearch_away(servers: Addresses, server_home: Path, tmp_path: Path) -> None:
    ground = Ground(servers, server_home)
    course = outage("elasticsearch", ground, tmp_path, seconds=SECONDS, rate=RATE, warm=WARM, every=2)
    first, end = course.during[1], course.during[-1]
    assert first.posts is not None
    assert end.posts is not None
    assert first.events is not None
    assert end.events is not None
    assert end.indexed is not None
    came = end.written - first.written
    assert came > 0.5 * RATE * SECONDS
    assert end.posts - first.posts > 0.7 * came, "collection goes on"
    assert end.events - first.events > 0.7 * came, "enriching goes on"
    # What was in the index before it went may still be noted.
    half = len(course.during) // 2
    assert {look.indexed for look in course.during[half:]} == {end.indexed}, "it counts no more"
    for role in ROLES:
        assert end.memory[role] < 1.25 * first.memory[role], role
    assert course.documents == course.after[-1].written


def test_kafka_away(servers: Addresses, server_home: Path, tmp_path: Path) -> None:
    ground = Ground(servers, server_home)
    course = outage("kafka", ground, tmp_path, seconds=SECONDS, rate=RATE, warm=WARM, every=2)
    # What Kafka had confirmed before it died may still be noted.
    assert len({look.cursor for look in course.during[1:]}) == 1, "the cursor waits"
    assert course.during[1].cursor < course.during[-1].written
    for role in ROLES:
        assert course.during[-1].memory[role] < 1.25 * course.during[1].memory[role], role
    assert course.documents == course.after[-1].written
