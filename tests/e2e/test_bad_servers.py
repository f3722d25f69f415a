"""Servers that are away or take nothing, at the start or later: who waits says why, and nothing is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pipeline.app.offsets import spans
from pipeline.app.rejections import standing
from pipeline.app.site import group
from pipeline.app.topics import admin_client, topics_of
from pipeline.embedded.servers import start_elasticsearch, start_kafka, stop
from testkit.installation import Installation, rows_of
from testkit.readiness import ready, reason
from testkit.unruly import lines_of
from testkit.waiting import until

Posts = Callable[[int], list[dict[str, Any]]]

OUTAGE_SECONDS = 20


@contextmanager
def without(home: Path, server: Literal["kafka", "elasticsearch"]) -> Iterator[Callable[[], None]]:
    """The session's server is away until the block calls what it gets, or ends."""
    stop(home, server)
    starts = {"kafka": start_kafka, "elasticsearch": start_elasticsearch}
    back = False

    def come_back() -> None:
        nonlocal back
        back = True
        starts[server](home)

    try:
        yield come_back
    finally:
        if not back:
            starts[server](home)


def ended(process: subprocess.Popen[bytes], limit: float) -> tuple[int, str, str]:
    """Exit status, output and complaints of a process that has to end within ``limit`` seconds."""
    out, complaints = process.communicate(timeout=limit)
    return process.returncode, out.decode(), complaints.decode()


def states(page: str) -> dict[tuple[str, str], tuple[str, str]]:
    """The page of `status --format json`: part and name to state and detail."""
    return {(row["part"], row["name"]): (row["state"], row["detail"]) for row in json.loads(page)}


def write(folder: Path, posts: Sequence[dict[str, Any]], name: str = "posts.jsonl") -> Path:
    file = folder / name
    file.write_bytes(lines_of([json.dumps(post).encode() for post in posts]))
    return file


def indexed(installation: Installation) -> int:
    """How many events the index role has confirmed."""
    admin = admin_client(installation.kafka)
    try:
        events = topics_of(installation.settings.kafka).events.name
        found = spans(admin, events, group(installation.settings, "index"))
        return sum(span.committed for span in found.values())
    finally:
        admin.close()


def check(installation: Installation, posts: Sequence[dict[str, Any]]) -> None:
    """Every post is in the index, once, as it was; nothing was refused, and the audit is silent."""
    documents = rows_of(installation.documents())
    assert {post_id: row.source["text"] for post_id, row in documents.items()} == {
        post["id"]: post["text"] for post in posts
    }
    assert standing(installation.kafka, topics_of(installation.settings.kafka)) == []
    ledger, findings = installation.audit()
    assert findings == []
    assert (ledger.applied, ledger.lost, ledger.in_flight) == (len(posts), 0, 0)


def test_kafka_away_at_the_start_and_in_the_middle(
    installation: Installation, posts: Posts, server_home: Path, tmp_path: Path
) -> None:
    # The second ones stream for longer than it takes to see that they do, and to stop Kafka.
    first, second = posts(3900)[:300], posts(3900)[300:]
    file = write(tmp_path, first)
    away = (
        f"Kafka does not answer at {installation.kafka}: start it (`groundswell up` for the embedded one)"
        " or set kafka.bootstrap"
    )
    with without(server_home, "kafka") as come_back:
        commands = [["replay", str(file)], ["audit"], ["rejected", "list"]]
        began = time.monotonic()
        running = [installation.start(*command) for command in commands]
        for command, process in zip(commands, running, strict=True):
            assert ended(process, 40) == (1, "", f"groundswell: {away}\n"), command
        # Each alone takes six seconds, and a busy machine some to start them; a client's own patience is 30.
        assert time.monotonic() - began < 30

        alone = installation.start("run", "--role", "enrich")
        daemon = installation.daemon("enrich", "index", "directory")
        status, said, complaints = ended(installation.start("status", "--format", "json"), 60)
        assert (status, complaints) == (1, "")
        assert states(said)["server", "kafka"] == ("away", away)
        assert states(said)["server", "elasticsearch"][0] == "answers"
        until(lambda: reason(installation, "enrich", "kafka") == away, why="enrich says why it waits")
        alone.send_signal(signal.SIGTERM)
        status, _, complaints = ended(alone, 60)
        assert status == 0, complaints
        assert f"{away}; trying again until it can" in complaints
        assert "Traceback" not in complaints

        until(lambda: reason(installation, "index", "kafka") == away, why="the daemon waits for Kafka")
        come_back()
    until(lambda: ready(installation, "enrich") and ready(installation, "index"), why="the roles go to work")
    pids = [installation.role_pid(role) for role in ("enrich", "index")]
    assert installation.command("replay", str(file)).returncode == 0
    installation.settle(daemon)
    check(installation, first)

    replay = installation.start("replay", "--rate", "150", str(write(tmp_path, second, "more.jsonl")))
    until(lambda: indexed(installation) > len(first) + 200, why="posts flow")
    assert replay.poll() is None
    with without(server_home, "kafka"):
        began = time.monotonic()
        until(lambda: time.monotonic() - began > OUTAGE_SECONDS, why="a long while without Kafka")
        assert replay.poll() is None, "replay waits"
    status, _, complaints = ended(replay, 120)
    assert status == 0, complaints
    told = [line.partition("groundswell.producer: ")[2] for line in complaints.splitlines()[:-1]]
    assert told == [
        f"Kafka does not answer at {installation.kafka}; records wait until it does",
        "Kafka takes records again",
    ]
    assert complaints.splitlines()[-1].startswith(f"sent {len(second)} posts in ")
    installation.settle(daemon)
    check(installation, [*first, *second])
    assert [installation.role_pid(role) for role in ("enrich", "index")] == pids, "nobody had to start anew"
    until(lambda: ready(installation, "enrich") and ready(installation, "index"), why="both are well")
    assert daemon.stop() == 0
    assert "Traceback" not in installation.log()


def test_elasticsearch_away_at_the_start(
    installation: Installation, posts: Posts, server_home: Path, tmp_path: Path
) -> None:
    chosen = posts(800)
    file = write(tmp_path, chosen)
    settings = tmp_path / "groundswell.toml"
    settings.write_text(f'[connectors.archive]\nkind = "jsonl"\npath = "{file}"\nfollow = true\n')
    installation.environ["GROUNDSWELL_CONFIG"] = str(settings)
    url = installation.elasticsearch
    away = (
        f"Elasticsearch does not answer at {url}: `groundswell up` starts the embedded one,"
        " or set elasticsearch.url"
    )
    with without(server_home, "elasticsearch") as come_back:
        asked = installation.command("query", "refund")
        assert (asked.returncode, asked.stdout, asked.stderr.decode()) == (1, b"", f"groundswell: {away}\n")

        daemon = installation.daemon()
        until(lambda: reason(installation, "index", "elasticsearch") == away, why="index says why it waits")

        def page() -> dict[tuple[str, str], tuple[str, str]]:
            status, said, complaints = ended(installation.start("status", "--format", "json"), 40)
            assert (status, complaints) == (1, "")
            return states(said)

        until(
            lambda: page()["ledger", "waiting for index"][0] == str(len(chosen)),
            why="all is collected and enriched, and waits",
        )
        rows = page()
        assert rows["server", "elasticsearch"] == ("away", away)
        assert rows["server", "kafka"][0] == "answers"
        assert rows["role", "collect"][0] == rows["role", "enrich"][0] == "ready"
        assert rows["role", "index"][0] == "waits"
        assert rows["role", "index"][1].startswith(away)
        assert rows["ledger", "waiting for enrich"][0] == "0"

        assert daemon.stop() == 0, "told to end while it waits, it ends"
        assert "Traceback" not in installation.log()
        daemon = installation.daemon()
        until(lambda: reason(installation, "index", "elasticsearch") == away, why="index waits again")
        come_back()
    installation.settle(daemon)
    until(lambda: ready(installation, "index"), why="index is ready")
    check(installation, chosen)
    assert daemon.stop() == 0
    assert "Traceback" not in installation.log()


def test_an_index_that_takes_no_writes(installation: Installation, posts: Posts, tmp_path: Path) -> None:
    """Blocked by Elasticsearch for a full disk, or by a person, while posts stream."""
    chosen = [{**post, "created_at": "2026-05-05T05:05:05Z"} for post in posts(900)]
    index = f"{installation.prefix}-posts-2026.05"
    daemon = installation.daemon("enrich", "index", "directory")
    assert installation.command("replay", str(write(tmp_path, chosen[:300]))).returncode == 0
    until(lambda: indexed(installation) > 0, why="posts flow")
    blocks = {
        "read_only_allow_delete": f"index {index} is read-only, for the disk is nearly full: free disk space",
        "write": f"index {index} takes no writes (",
    }
    for number, (block, sentence) in enumerate(blocks.items(), 1):
        installation.client.indices.put_settings(index=index, settings={f"index.blocks.{block}": True})
        part = write(tmp_path, chosen[number * 300 : (number + 1) * 300])
        assert installation.command("replay", str(part)).returncode == 0, "collection goes on"
        until(
            lambda said=sentence: reason(installation, "index", "elasticsearch").startswith(said),  # type: ignore[misc]
            why=f"index says that {block} keeps it from its work",
        )
        status, page, _ = ended(installation.start("status", "--format", "json"), 40)
        assert status == 1
        assert states(page)["role", "index"][0] == "waits"
        assert states(page)["role", "index"][1].startswith(sentence)
        assert states(page)["role", "enrich"][0] == "ready"
        installation.client.indices.put_settings(index=index, settings={f"index.blocks.{block}": None})
    installation.settle(daemon)
    check(installation, chosen)
    until(lambda: ready(installation, "index"), why="index is ready again")
    assert daemon.stop() == 0
