"""Records of ten megabytes, which topics take and no post may be: refused one by one, in little memory."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from confluent_kafka import Producer

from pipeline.app.topics import MAX_RECORD_BYTES, ensure_topics
from testkit.installation import Installation, rows_of

HUGE, GOOD = 40, 400
TEN_MEGABYTES = 10_000_000
MOST_RESIDENT_KB = 450_000
"""Measured: 227 MB. Forty such records at once would be 400 MB by themselves."""


def peak_kilobytes(pid: int) -> int:
    """The most memory that a process had resident so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the peak of memory from Linux's /proc"
)
def test_records_of_ten_megabytes(installation: Installation) -> None:
    posts = ensure_topics(installation.kafka, installation.settings.kafka).posts.name
    producer = Producer(
        {
            "bootstrap.servers": installation.kafka.address,
            "message.max.bytes": MAX_RECORD_BYTES,
            "compression.type": "lz4",
            "linger.ms": 5,
        }
    )
    words = random.Random(7).choices(("parcel", "lost", "late", "again", "refund"), k=50_000)
    text = " ".join(words)
    text *= TEN_MEGABYTES // len(text)
    for number in range(GOOD):
        author = {"id": "x:joe"}
        row = {"id": f"x:good{number}", "text": "the parcel came", "author": author}
        producer.produce(posts, json.dumps(row), row["id"])
        if number % (GOOD // HUGE) == 0:
            huge = json.dumps({"id": f"x:huge{number}", "text": text, "author": author})
            producer.produce(posts, huge, f"x:huge{number}")
    assert producer.flush(60) == 0

    # All is there before anybody reads, so that fetches are as full as they get.
    daemon = installation.daemon("enrich", "index", "directory")
    installation.settle(daemon)
    enrich = installation.role_pid("enrich")
    assert enrich is not None
    assert peak_kilobytes(enrich) < MOST_RESIDENT_KB

    assert rows_of(installation.documents()).keys() == {f"x:good{number}" for number in range(GOOD)}
    listed = installation.command("rejected", "list", "--format", "json")
    rows = json.loads(listed.stdout)
    assert len(rows) == HUGE
    assert {(row["stage"], row["reason"]) for row in rows} == {("enrich", "too_big")}
    ledger, findings = installation.audit()
    assert findings == []
    assert (ledger.applied, ledger.rejected, ledger.lost) == (GOOD, HUGE, 0)
