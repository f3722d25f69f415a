"""Any one process killed at any instant of a replay: the result is the same.

Each victim dies by SIGKILL while posts stream; whoever supervises it (the daemon, an operator) starts
it again, and the end must hold what the stream says.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.daemon import Daemon
from pipeline.app.topics import topics_of
from pipeline.embedded.servers import kill, start_elasticsearch, start_kafka
from testkit.installation import Installation, rows_of
from testkit.unruly import Mix, lines_of, unruly
from testkit.waiting import halt, until

MIX = Mix(edits=300, deletions=40, repeats=300, invalid=20)
POSTS = 3000
RATE = "700"  # a second: slow enough for a death to fall into the middle

Posts = Callable[[int], list[dict[str, Any]]]


def kill_role(role: str) -> Callable[[Installation, Daemon, Path], Daemon]:
    def act(installation: Installation, daemon: Daemon, _home: Path) -> Daemon:
        pid = installation.role_pid(role)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: installation.role_pid(role) not in (None, pid), why=f"a new {role}")
        return daemon

    return act


def kill_supervisor(installation: Installation, daemon: Daemon, _home: Path) -> Daemon:
    children = [installation.role_pid(role) for role in ("enrich", "index", "directory")]
    daemon.kill()
    until(lambda: not any(pid and Path(f"/proc/{pid}").exists() for pid in children), why="orphans end")
    return installation.daemon("enrich", "index", "directory")


def kill_kafka(_installation: Installation, daemon: Daemon, home: Path) -> Daemon:
    kill(home, "kafka")
    time.sleep(2)
    start_kafka(home)
    return daemon


def kill_elasticsearch(_installation: Installation, daemon: Daemon, home: Path) -> Daemon:
    kill(home, "elasticsearch")
    time.sleep(1)
    start_elasticsearch(home)
    return daemon


VICTIMS = {
    "enrich": kill_role("enrich"),
    "index": kill_role("index"),
    "directory": kill_role("directory"),
    "supervisor": kill_supervisor,
    "kafka": kill_kafka,
    "elasticsearch": kill_elasticsearch,
}


@pytest.mark.parametrize("victim", [*VICTIMS, "replay"])
def test_a_death_changes_nothing(
    installation: Installation, posts: Posts, server_home: Path, tmp_path: Path, victim: str
) -> None:
    lines, expected = unruly(posts(POSTS), MIX, seed=sum(victim.encode()))
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines_of(lines))
    daemon = installation.daemon("enrich", "index", "directory")
    daemon.wait_until_ready(installation.home, "127.0.0.1", 120)
    replay = installation.start("replay", "--rate", RATE, str(file))
    topics = topics_of(installation.settings.kafka)
    halt(
        replay.pid,
        lambda: installation.records(topics.events.name) > 600,
        lambda: installation.records(topics.posts.name) > POSTS / 2,
        why="the stream flows",
    )
    assert replay.poll() is None, "the death must fall into the middle of the stream"
    if victim == "replay":
        replay.kill()
        replay.communicate()
        resumed = installation.command("replay", "--resume", str(file))
        assert resumed.returncode == 0, resumed.stderr.decode()
    else:
        replay.send_signal(signal.SIGCONT)
        daemon = VICTIMS[victim](installation, daemon, server_home)
        _, said = replay.communicate(timeout=120)
        assert replay.returncode == 0, said.decode()
    installation.settle(daemon)

    ledger, findings = installation.audit()
    assert findings == []
    assert (ledger.lost, ledger.in_flight, ledger.rejected) == (0, 0, 0)
    documents = rows_of(installation.documents())
    live = {post_id: row.source["text"] for post_id, row in documents.items() if not row.source["deleted"]}
    assert live == expected.texts
    assert {post_id for post_id, row in documents.items() if row.source["deleted"]} == expected.stubs
    assert ledger.refused_before == len(set(expected.invalid))
    assert daemon.stop() == 0, installation.log()[-2000:]
