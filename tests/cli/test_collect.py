"""collect --dry-run: posts on standard output, all else on standard error, no Kafka asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.connector_drive import fixture_of
from testkit.platform.faults import FAULTS


def collect(folder: Path, settings: str) -> subprocess.CompletedProcess[bytes]:
    (folder / "groundswell.toml").write_text(
        f'[kafka]\nbootstrap = "127.0.0.1:9"\n\n[connectors.feed]\n{settings}', encoding="utf-8"
    )
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", "collect", "feed", "--once", "--dry-run"],
        env={
            **os.environ,
            "GROUNDSWELL_HOME": str(folder / "home"),
            "GROUNDSWELL_CONFIG": str(folder / "groundswell.toml"),
        },
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_a_file_is_shown_and_nothing_is_kept(tmp_path: Path) -> None:
    posts = [{"id": f"x:{number}", "text": "late", "author": {"id": "x:ann"}} for number in range(5)]
    lines = [json.dumps(post) for post in posts]
    (tmp_path / "posts.jsonl").write_text("\n".join([*lines, '{"id": "x:\x1b[2J"}']) + "\n")
    done = collect(tmp_path, 'kind = "jsonl"\npath = "posts.jsonl"\n')
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [post["id"] for post in posts]
    assert b"5 posts would be sent, 1 refused; nothing was sent" in done.stderr
    assert b"\x1b" not in done.stderr
    assert not (tmp_path / "home" / "cursors").exists()


def test_bluesky_is_proved_in_seconds(tmp_path: Path) -> None:
    with fixture_of("bluesky").stage(tmp_path) as stage:
        assert stage.server is not None
        stage.tell(30)
        address = f'hosts = ["{stage.server.socket_url}"]\nprofiles = "{stage.table["profiles"]}"\n'
        done = collect(tmp_path, f'kind = "bluesky"\n{address}since_hours = 1\nwords = ["parcel"]\n')
    assert done.returncode == 0, done.stderr
    shown = {(post["id"], post.get("deleted", False)) for post in map(json.loads, done.stdout.splitlines())}
    assert shown == stage.timeline.expected
    assert not (tmp_path / "home" / "connectors").exists(), "nothing was sent, so nothing is to be remembered"


def test_a_token_of_x_is_proved_and_the_limits_are_shown(tmp_path: Path) -> None:
    with fixture_of("x").stage(tmp_path) as stage:
        assert stage.server is not None
        stage.tell(30)
        table = f'kind = "x"\naddress = "{stage.server.url}"\nbearer_token_file = "bearer_token"\n'
        rules = "".join(f'rules.{tag} = "{query}"\n' for tag, query in stage.table["rules"].items())
        done = collect(tmp_path, table + rules)
        assert done.returncode == 0, done.stderr
        shown = {(post["id"], False) for post in map(json.loads, done.stdout.splitlines())}
        assert shown == stage.timeline.expected
        assert b"posts this month (budget): 9973 of 10000 left" in done.stderr
        assert b"limit of requests: 449 of 450 left, anew in" in done.stderr
        (tmp_path / "bearer_token").write_text("another")
        refused = collect(tmp_path, table + rules)
    assert refused.returncode == 2
    assert b"put a valid bearer token" in refused.stderr
    assert b"another" not in refused.stderr


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [("403", 2, "name another host in `hosts`"), ("503", 1, "is out of order (status 503); try again later")],
)
def test_a_source_that_fails_says_why(name: str, status: int, sentence: str, tmp_path: Path) -> None:
    with fixture_of("bluesky").stage(tmp_path) as stage:
        assert stage.server is not None
        for _ in range(30):
            stage.spoil(next(fault for fault in FAULTS if fault.name == name))
        done = collect(tmp_path, f'kind = "bluesky"\nhosts = ["{stage.server.socket_url}"]\n')
    assert done.returncode == status
    assert sentence in done.stderr.decode()
    assert not done.stdout


def test_a_trial_of_reddit_leaves_its_memory_alone(tmp_path: Path) -> None:
    with fixture_of("reddit").stage(tmp_path) as stage:
        assert stage.server is not None
        stage.tell(30)
        table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in stage.table.items())
        done = collect(tmp_path, f'kind = "reddit"\n{table}\n')
    assert done.returncode == 0, done.stderr
    shown = {(post["id"], post.get("deleted", False)) for post in map(json.loads, done.stdout.splitlines())}
    assert shown == stage.timeline.expected
    assert b"limit of requests: 998 of 1000 left" in done.stderr
    assert not (tmp_path / "home").exists()
