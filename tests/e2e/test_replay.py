"""An unruly stream through everything, twice: exactly one document a post, in its newest version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from pipeline.app.enrich_stage import EnrichStage
from pipeline.app.log_reader import LogRecord, read_topic
from pipeline.app.registry import build_chain
from pipeline.app.rejections import standing
from pipeline.app.topics import topics_of
from pipeline.core.event import decode_event
from pipeline.core.newest import Newest
from pipeline.core.rejection import payload_of
from sinks import elastic
from testkit.installation import Installation, Stored, rows_of
from testkit.unruly import Expected, Mix, lines_of, unruly

MIX = Mix(edits=500, deletions=60, repeats=500, invalid=40)
POSTS = 4000

Posts = Callable[[int], list[dict[str, Any]]]


def check(installation: Installation, expected: Expected) -> None:
    """The index holds what the stream says, the rejections hold what it refused, and the audit is silent."""
    documents = rows_of(installation.documents())
    live = {post_id: row.source["text"] for post_id, row in documents.items() if not row.source["deleted"]}
    stubs = {post_id: row.source for post_id, row in documents.items() if row.source["deleted"]}
    assert live == expected.texts
    assert stubs.keys() == expected.stubs
    assert not any("text" in stub or "author" in stub or "sentiment" in stub for stub in stubs.values())
    refused = standing(installation.kafka, topics_of(installation.settings.kafka))
    assert sorted(payload_of(entry.rejection) for entry in refused) == sorted(expected.invalid)
    assert all(entry.rejection.error and entry.rejection.reason for entry in refused)
    check_log(installation)
    ledger, findings = installation.audit()
    assert findings == []
    assert ledger.lost == ledger.in_flight == ledger.rejected == 0
    assert ledger.refused_before == len(expected.invalid)
    assert ledger.applied == len(expected.texts)
    assert ledger.deleted == len(expected.stubs)


def check_log(installation: Installation) -> None:
    """Of every post the events topic ends with its newest state: what compaction keeps is the truth."""
    last: dict[bytes, int] = {}
    newest: dict[bytes, int] = {}
    for portion in read_topic(installation.kafka, topics_of(installation.settings.kafka).events.name):
        for record in portion:
            last[record.key] = decode_event(record.value or b"").version
            newest[record.key] = max(newest.get(record.key, 0), last[record.key])
    assert last == newest


class Idle:
    """A producer of which only the end is asked."""

    def abandon(self) -> None:
        """Nothing is under way."""


class Fetched(Struct, frozen=True):
    """What the enrich stage asks of a record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def a_month_later(installation: Installation) -> None:
    """The whole posts topic once more, through the same stage and sink, with every clock a month ahead."""
    settings = installation.settings
    topics = topics_of(settings.kafka)
    later = timedelta(days=31)
    stage = EnrichStage(
        build_chain(settings),
        Idle(),  # type: ignore[arg-type]
        topics,
        prefix=settings.elasticsearch.prefix,
        clock=lambda: datetime.now(UTC) + later,
        load=lambda _: Newest(),
    )
    sink = elastic.build(settings.elasticsearch, installation.elasticsearch)

    def shifted(record: LogRecord) -> Fetched:
        moment = record.timestamp + int(later.total_seconds() * 1000)
        return Fetched(topics.posts.name, record.partition, record.offset, moment, record.key, record.value)

    for portion in read_topic(installation.kafka, topics.posts.name):
        # An empty memory: nothing is held back, so the sink has to cope with every old state once more.
        records, _ = stage.results([shifted(record) for record in portion], Newest())
        events = [record for record in records if record.topic == topics.events.name]
        assert set(sink.write([decode_event(record.value or b"") for record in events])) == {None}
    stage.close()
    sink.close()


@pytest.mark.parametrize("seed", [7])
def test_twice_through_everything(
    installation: Installation, posts: Posts, tmp_path: Path, seed: int
) -> None:
    soon = datetime.now(UTC) + timedelta(days=20)
    chosen = posts(POSTS)
    # Dated ahead of us: in no month's index now, and in one a month later, were it decided anew.
    for post in chosen[::50]:
        post["created_at"] = soon.isoformat()
    lines, expected = unruly(chosen, MIX, seed)
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines_of(lines))
    daemon = installation.daemon("enrich", "index", "directory")

    sent = installation.command("replay", str(file))
    assert sent.returncode == 0, sent.stderr.decode()
    assert f"{MIX.invalid} lines were refused" in sent.stderr.decode()
    installation.settle(daemon)
    check(installation, expected)
    first = rows_of(installation.documents())

    a_month_later(installation)
    check(installation, expected)
    assert installation.command("replay", str(file)).returncode == 0
    installation.settle(daemon)
    check(installation, expected)
    again = rows_of(installation.documents())
    assert {i: (row.index, row.version) for i, row in again.items()} == {
        i: (row.index, row.version) for i, row in first.items()
    }
    assert daemon.stop() == 0

    rebuilt = installation.command("rebuild", "--yes")
    assert rebuilt.returncode == 0, rebuilt.stderr.decode()
    after = rows_of(installation.documents())
    assert whole(after) == whole(again), "a rebuild from the log gives identical documents"
    assert homes(after) == homes(again)
    check(installation, expected)


def whole(documents: dict[str, Stored]) -> dict[str, tuple[int, bytes]]:
    """Version and content of every document."""
    return {post_id: (row.version, msgspec.json.encode(row.source)) for post_id, row in documents.items()}


def homes(documents: dict[str, Stored]) -> dict[str, str]:
    """The index of every post never changed. A change without a date of creation lives where its post was
    found when it came, which another cut of the log into batches may decide otherwise (docs/adr/0003)."""
    return {
        post_id: row.index
        for post_id, row in documents.items()
        if not row.source["deleted"] and "edited_at" not in row.source
    }
