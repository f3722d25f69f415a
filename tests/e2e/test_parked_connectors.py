"""Connectors beside each other in one role: one is refused and parked, one hangs, one delivers all."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path
from typing import Any

from pipeline.app.health import present
from pipeline.app.log_reader import read_topic
from pipeline.core.post import decode_post
from testkit.connector_drive import fixture_of
from testkit.installation import Installation
from testkit.platform.faults import FAULTS
from testkit.waiting import until

REFUSED = next(fault for fault in FAULTS if fault.name == "401")

SETTINGS = """\
[collect]
park_after = 2
silent_seconds = 3
parked_hours = 24

[connectors.good]
kind = "jsonl"
path = "posts.jsonl"
follow = true

[connectors.refused]
kind = "bluesky"
hosts = ["{refused}"]
since_hours = 1
timeout_seconds = 2

[connectors.mute]
kind = "bluesky"
hosts = ["{mute}"]
timeout_seconds = 300
"""


def ask(installation: Installation, page: str) -> str:
    """A page of the collect role; empty where it is not there yet."""
    for note in present(installation.home):
        if note.role == "collect":
            with urllib.request.urlopen(f"http://127.0.0.1:{note.port}/{page}", timeout=30) as answer:
                return str(answer.read().decode())
    return ""


def standing(installation: Installation, name: str) -> dict[str, Any]:
    """A connector as /status has it."""
    text = ask(installation, "status")
    rows = json.loads(text)["connectors"] if text else []
    return next((row for row in rows if row["name"] == name), {})


def state(installation: Installation, name: str) -> str:
    return str(standing(installation, name).get("state", ""))


def taken(installation: Installation) -> set[tuple[str, bool]]:
    topic = f"{installation.prefix}.posts"
    posts = [
        decode_post(record.value) for portion in read_topic(installation.kafka, topic) for record in portion
    ]
    return {(post.id, post.deleted) for post in posts}


def write(file: Path, first: int, after: int) -> set[tuple[str, bool]]:
    with file.open("a") as out:
        for number in range(first, after):
            out.write(f'{{"id": "x:{number}", "text": "hello", "author": {{"id": "x:joe"}}}}\n')
    return {(f"x:{number}", False) for number in range(first, after)}


def test_one_is_parked_and_one_hangs_while_another_delivers(
    installation: Installation, tmp_path: Path
) -> None:
    posts, settings = tmp_path / "posts.jsonl", tmp_path / "groundswell.toml"
    wanted = write(posts, 0, 500)
    # It takes connections and never says a word.
    with fixture_of("bluesky").stage(tmp_path) as stage, socket.create_server(("127.0.0.1", 0)) as mute:
        assert stage.server is not None
        stage.server.spoil(REFUSED, 1000)
        settings.write_text(
            SETTINGS.format(refused=stage.server.socket_url, mute=f"ws://127.0.0.1:{mute.getsockname()[1]}")
        )
        installation.environ["GROUNDSWELL_CONFIG"] = str(settings)
        collect = installation.start("run", "--role", "collect")
        until(lambda: state(installation, "refused") == "parked", why="two refusals park it")
        asked = len(stage.server.asked)
        until(lambda: state(installation, "mute") == "silent", why="it hangs, and that is told")
        wanted |= write(posts, 500, 1000)
        until(lambda: taken(installation) == wanted, why="the other one delivers all")
        # It counts them once Kafka has confirmed them.
        until(lambda: standing(installation, "good")["posts"] == 1000, why="and tells how many they were")
        until(lambda: state(installation, "good") == "reads", why="it goes on")
        assert len(stage.server.asked) == asked, "nobody knocks while it is parked"

        page = installation.command("status", "--format", "json")
        rows = {row["name"]: row for row in json.loads(page.stdout) if row["part"] == "connector"}
        assert page.returncode == 1
        assert {name: row["state"] for name, row in rows.items()} == {
            "good": "reads",
            "refused": "parked",
            "mute": "silent",
        }
        assert rows["refused"]["reason"]
        assert rows["mute"]["reason"].startswith("has not answered for ")
        table = installation.command("status").stdout.decode()
        assert "refused parked: " in table
        metrics = ask(installation, "metrics")
        assert 'groundswell_connector_state{connector="refused",state="parked"} 1.0' in metrics
        assert 'groundswell_connector_state{connector="good",state="parked"} 0.0' in metrics
        assert 'groundswell_connector_posts_total{connector="good"} 1000.0' in metrics

        # What is wrong is mended: the settings are written anew, and it is tried at once.
        stage.server._spells.clear()
        stage.tell(40)
        settings.write_text(settings.read_text() + "\n")
        until(lambda: taken(installation) >= wanted | stage.timeline.expected, why="all of its posts come")
        until(lambda: state(installation, "refused") == "reads", why="it is parked no longer")

        collect.terminate()
        _, said = collect.communicate(timeout=120)
    assert collect.returncode == 0
    log = said.decode()
    assert log.count("refused: parked after 2 failures in a row: ") == 1
    assert log.count("mute: has not answered for ") == 1
    assert "Traceback" not in log
