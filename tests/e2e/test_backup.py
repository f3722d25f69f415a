"""What was backed up comes back whole, and what was taken back meanwhile stays away."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.app.backup.form import read_manifest, records
from pipeline.app.daemon import Daemon
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import topics_of
from pipeline.core.case import Case
from sinks.cases import Cases
from testkit.installation import Installation, Stored, rows_of

RULES = """
mode = "first"
[queues.outages]
priority = 2
[[rules]]
id = "outage"
queue = "outages"
when = 'text contains "broke"'
"""
ROLES = ("enrich", "index")
LINE = dict[str, Any]


@pytest.fixture
def routed(install: Callable[..., Installation], tmp_path: Path) -> Callable[..., Installation]:
    """Makes installations whose posts are routed."""
    rules = tmp_path / "routing.toml"
    rules.write_text(RULES)

    def make(**settings: str) -> Installation:
        steps = {"GROUNDSWELL_ENRICH_STEPS": "route", "GROUNDSWELL_ENRICHERS_ROUTE_FILE": str(rules)}
        return install(**steps, **settings)

    return make


def post(id: str, text: str, **more: Any) -> LINE:
    author = {"id": "x:ann", "handle": "ann"}
    return {"id": id, "text": text, "author": author, "created_at": "2026-10-22T10:00:00Z"} | more


def deletion(id: str) -> LINE:
    """With its date: without one a rebuild may put the stub elsewhere (docs/adr/0003)."""
    return {"id": id, "deleted": True, "created_at": "2026-10-22T10:00:00Z"}


def send(installation: Installation, *lines: LINE | bytes) -> None:
    raw = [line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines]
    done = installation.command("replay", "-", stdin=b"".join(line + b"\n" for line in raw))
    assert done.returncode in (0, 3), done.stderr.decode()


def settled(installation: Installation, daemon: Daemon) -> dict[str, Stored]:
    installation.settle(daemon)
    assert installation.audit()[1] == []
    return rows_of(installation.documents())


def cases(installation: Installation) -> list[Case]:
    store = Cases(installation.client, installation.settings.elasticsearch)
    store.store.refresh()
    return [held.case for held in store.all()]


def call(installation: Installation, *words: str) -> subprocess.CompletedProcess[bytes]:
    done = installation.command(*words)
    assert done.returncode == 0, done.stderr.decode()
    return done


def answered(installation: Installation, answer: bytes, *words: str) -> str:
    """What a command says that is refused once somebody at a terminal has answered it."""
    ours, its = os.openpty()
    process = installation.start(*words, stdin=its)
    os.write(ours, answer + b"\n")
    said, trouble = process.communicate(timeout=120)
    os.close(ours)
    os.close(its)
    assert (process.returncode, b"nothing was dropped" in trouble) == (2, True), trouble.decode()
    return said.decode()


def test_the_log_comes_back_whole_in_a_fresh_installation(
    routed: Callable[..., Installation], tmp_path: Path
) -> None:
    first = routed()
    daemon = first.daemon(*ROLES)
    send(first, post("x:1", "it broke"), post("x:2", "a secret word"), post("x:3", "first form"), b"{no post")
    assert len(settled(first, daemon)) == 3
    send(first, deletion("x:2"), post("x:3", "other form", edited_at="2026-10-22T11:00:00Z"))
    before = settled(first, daemon)
    (case,) = cases(first)
    call(first, "queue", "take", case.id, "--as", "ann")
    daemon.stop()
    send(first, post("x:4", "still on its way"))

    made = json.loads(call(first, "backup", str(tmp_path / "backups"), "--format", "json").stdout)
    folder = Path(made[0]["backup"])
    listed = json.loads(call(first, "backup", str(tmp_path / "backups"), "--list", "--format", "json").stdout)
    assert listed == made
    assert {row["topic"]: row["records"] for row in made} == {
        "events": 3,
        "changes": 2,
        "customers": 0,
        "cases": 2,
        "rejected": 1,
        "posts": 1,
    }
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)
    manifest = read_manifest(folder)
    said = b"".join(one.value or b"" for part in manifest.parts for one in records(folder, part))
    assert b"other form" in said
    assert b"secret word" not in said, "what was deleted before is in no backup"
    assert b"first form" not in said

    assert first.command("restore", str(folder), "--yes").returncode == 1, "the topics hold something"
    second = routed(GROUNDSWELL_KAFKA_PREFIX=f"{first.prefix}b")
    call(second, "restore", str(folder), "--dry-run")
    asked = answered(second, b"no", "restore", str(folder))
    assert "which hold 3 posts, and write them anew from a backup of 3 events?" in asked
    assert rows_of(second.documents()) == before, "nobody said yes"
    call(second, "restore", str(folder), "--yes")
    assert rows_of(second.documents()) == before
    assert [case.assignee for case in cases(second)] == ["ann"]
    daemon = second.daemon(*ROLES)
    assert settled(second, daemon).keys() == before.keys() | {"x:4"}

    send(second, deletion("x:1"))
    assert settled(second, daemon)["x:1"].source["deleted"]
    daemon.stop()
    call(second, "restore", str(folder), "--add", "--yes")
    assert rows_of(second.documents())["x:1"].source["deleted"], "the log knows better than the backup"
    assert second.audit()[1] == []

    events = folder / "events.jsonl.zst"
    events.write_bytes(events.read_bytes()[:-1])
    damaged = second.command("restore", str(folder), "--dry-run")
    assert damaged.returncode == 1
    assert b"events.jsonl.zst is damaged" in damaged.stderr


def test_a_snapshot_and_the_log_since_give_what_a_rebuild_gives(
    routed: Callable[..., Installation], server_home: Path
) -> None:
    plain = routed()
    refused = plain.command("backup")
    assert refused.returncode == 2
    assert b"elasticsearch.snapshot_repository" in refused.stderr
    ours = routed(GROUNDSWELL_ELASTICSEARCH_SNAPSHOT_REPOSITORY=plain.prefix)
    assert b"knows no snapshot repository" in ours.command("backup", "--list").stderr
    place = {"type": "fs", "settings": {"location": str(server_home / "snapshots" / ours.prefix)}}
    ours.client.snapshot.create_repository(name=ours.prefix, repository=place)

    daemon = ours.daemon(*ROLES)
    send(ours, *(post(f"x:{n}", "it broke" if n % 5 == 0 else "fine", thread=f"t{n}") for n in range(30)))
    settled(ours, daemon)
    (made,) = json.loads(call(ours, "backup", "--format", "json").stdout)
    assert (made["state"], made["indices"]) == ("SUCCESS", 3)
    send(ours, deletion("x:1"), post("x:2", "anew", edited_at="2026-10-22T11:00:00Z"))
    send(ours, post("x:30", "it broke again"), post("x:31", "gone from the log before the restore"))
    settled(ours, daemon)
    (case,) = [case for case in cases(ours) if "x:30" in case.posts]
    call(ours, "queue", "take", case.id, "--as", "ann")

    refused = ours.command("restore", "--snapshot", "latest", "--yes")
    assert refused.returncode == 1
    assert b"the role index is at work" in refused.stderr
    daemon.stop()
    producer = Producer(ours.kafka)
    events = topics_of(ours.settings.kafka).events.name
    # As retention does it; one is in the snapshot, the other is not.
    producer.deliver([Record(events, id, None) for id in (b"x:3", b"x:31")])
    producer.close()
    call(ours, "restore", "--snapshot", made["snapshot"], "--yes")
    restored = rows_of(ours.documents())
    # Nothing else than what was purged here by hand, though the posts topic still has it.
    assert {finding.id for finding in ours.audit()[1]} == {"x:3", "x:31"}
    assert [held.assignee for held in cases(ours) if held.id == case.id] == ["ann"]
    call(ours, "rebuild", "--yes")
    assert rows_of(ours.documents()) == restored
    assert restored.keys() == {f"x:{n}" for n in range(31)} - {"x:3"}
    ours.client.snapshot.delete_repository(name=ours.prefix)
