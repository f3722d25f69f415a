"""What was refused: exported, mended, sent again; and a worker that would reject everything stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from pipeline.app.topics import ensure_topics
from testkit.installation import Installation
from testkit.waiting import until

AT = "2026-03-02T10:00:00Z"


def send(installation: Installation, payloads: list[bytes]) -> None:
    """Into the posts topic, as somebody else's program would."""
    producer, topic = Producer({"bootstrap.servers": str(installation.kafka)}), topic_of(installation)
    for payload in payloads:
        producer.produce(topic, payload, b"key")
    producer.flush()


def topic_of(installation: Installation) -> str:
    """The posts topic."""
    return ensure_topics(installation.kafka, installation.settings.kafka).posts.name


def listed(installation: Installation) -> list[dict[str, Any]]:
    """What stands rejected."""
    return json.loads(installation.command("rejected", "list", "--format", "json").stdout)  # type: ignore[no-any-return]


def test_what_was_refused_is_exported_mended_and_sent_again(
    installation: Installation, tmp_path: Path
) -> None:
    good = {"id": "x:1", "text": "late again", "author": {"id": "x:ann"}, "created_at": AT}
    send(installation, [json.dumps({**good, "text": 5}).encode(), b"no post at all", b'{"id": "x:2"}'])
    daemon = installation.daemon("enrich", "index", "directory")
    until(lambda: len(listed(installation)) == 3, why="all are refused")
    before = {row["error"]: row for row in listed(installation)}

    exported = installation.command("rejected", "export")
    assert exported.returncode == 1
    assert exported.stderr.count(b"cannot be mended here") == 1
    lines = [json.loads(line) for line in exported.stdout.splitlines()]
    assert {json.dumps(line["post"]) for line in lines} == {
        json.dumps({**good, "text": 5}, separators=(", ", ": ")),
        '{"id": "x:2"}',
    }
    file = tmp_path / "mend.jsonl"
    file.write_text(
        "".join(json.dumps(mend(line, good)) + "\n" for line in lines) + '{"id": "none", "post": {}}\n'
    )

    tried = installation.command("rejected", "replay", "--from", str(file), "--dry-run")
    assert (tried.returncode, len(listed(installation))) == (1, 3)
    told = tried.stderr.decode().splitlines()
    assert told[-1] == "1 would be sent again, 2 stay rejected"
    assert "line 3 stays: no rejection with the id `none` stands here" in told

    done = installation.command("rejected", "replay", "--from", str(file))
    assert done.stderr.decode().splitlines()[-1] == "1 sent again, 2 stay rejected"
    installation.settle(daemon)
    assert {row["id"] for row in listed(installation)} == {
        row["id"] for error, row in before.items() if "text" not in error or "missing" in error
    }
    found = json.loads(installation.command("query", "late", "--format", "json").stdout)
    assert [row["id"] for row in found] == ["x:1"]
    assert installation.command("audit").returncode == 0


def mend(line: dict[str, Any], good: dict[str, Any]) -> dict[str, Any]:
    """The first post gets a text; the other one stays without an author."""
    return {**line, "post": good} if line["post"]["id"] == "x:1" else line


def test_how_often_and_since_when_is_kept_through_replays(installation: Installation) -> None:
    """An index made by hand refuses the post each time."""
    client = installation.client
    mapping = {"properties": {"sentiment": {"type": "keyword"}}}
    client.indices.create(index=f"{installation.prefix}-posts-2026.03", mappings=mapping)
    send(
        installation,
        [json.dumps({"id": "x:1", "text": "hi", "author": {"id": "x:a"}, "created_at": AT}).encode()],
    )
    installation.daemon("enrich", "index", "directory")
    until(lambda: len(listed(installation)) == 1, why="it is refused")
    first = listed(installation)[0]
    assert (first["attempts"], first["first_at"]) == (1, first["rejected_at"])
    for attempts in (2, 3):
        assert installation.command("rejected", "replay", "--all").returncode == 0
        until(lambda: len(listed(installation)) == 1, why="it is refused again")
        row = listed(installation)[0]
        assert (row["attempts"], row["first_at"]) == (attempts, first["first_at"])
        assert row["rejected_at"] > first["rejected_at"]


def test_a_worker_that_would_reject_everything_stops(install: Callable[..., Installation]) -> None:
    installation = install(GROUNDSWELL_ENRICH_STEPS="language,sentiment")
    send(installation, [b"rubbish %d" % number for number in range(9000)])
    daemon = installation.daemon("enrich")
    until(lambda: "records were refused (100 %)" in installation.log(), why="it says why it ends")
    until(lambda: daemon.pid is None, why="it ends")
    refused = len(listed(installation))
    assert 2000 <= refused < 9000, "it stops early, and what it refused is kept"
    assert "see `groundswell rejected list`" in installation.log()
