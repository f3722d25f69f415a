"""The demos, run as people run them: they show what happened, and leave no process behind however they end.

The live one listens to a Jetstream on loopback.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from connectors import bluesky
from enrichers._complaint_scan import LANGUAGES as UNDERSTOOD
from pipeline.app.daemon import surroundings
from pipeline.app.live_demo import LANGUAGES
from testkit.connector_drive import Stage
from testkit.connectors.bluesky import BlueskyFixture
from testkit.platform.answers import Item
from testkit.waiting import until


@pytest.fixture
def home() -> Iterator[Path]:
    """Directly below the system's temporary folder, for the servers' unprivileged user."""
    folder = Path(tempfile.mkdtemp(prefix="groundswell-demo-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def demo(home: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """The command, in a session of its own like a terminal's."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "pipeline.cli.main", "demo", *arguments],
        env={**surroundings(os.environ), "GROUNDSWELL_HOME": str(home), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def left(home: Path) -> list[str]:
    """Processes that have to do with this home."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            about = str(home) in words or process.environ().get("GROUNDSWELL_HOME", "").startswith(str(home))
        except psutil.Error:
            continue
        if about and process.pid != os.getpid():
            found.append(words)
    return found


def test_the_demo_shows_what_happened_and_ends_cleanly(home: Path) -> None:
    # What the caller's shell says of another installation must not touch the demo, nor the demo it.
    process = demo(home, GROUNDSWELL_KAFKA_BOOTSTRAP="127.0.0.1:1", GROUNDSWELL_ELASTICSEARCH_PREFIX="real")
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "379 taken in = 359 shown + 11 superseded by edits + 5 deleted + 4 repeats" in said
    assert "█ negative" in said
    assert "359 posts in the index, 5 stubs of deleted ones" in said
    assert said.count("query 'outage") == 1
    assert left(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_interrupted_leaves_no_process(home: Path, number: signal.Signals) -> None:
    process = demo(home)
    seen: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        seen.append(line)
        if "starting the daemon" in line:
            break
    until(lambda: len(left(home)) >= 4, why="servers and daemon run")
    process.send_signal(number)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, "".join(seen) + rest
    assert "Traceback" not in rest
    until(lambda: left(home) == [], why="all processes end")


WORDS = (
    "Larkwell has been down since Monday and nobody answers, this is unacceptable, I want my money back",
    "What a lovely morning, the best coffee in town",
    "Seit drei Tagen kein Internet, niemand hilft mir, eine Frechheit",
    "\x1b[2J\x1b[31mThe train is late again\u202e",
)


class Strangers(BlueskyFixture):
    """Bluesky as it is told by people who know of no demo."""

    def item(self, number: int, moment: float) -> Item:
        made = super().item(number, moment)
        record = made.data.get("commit", {}).get("record", {}) if made.id else {}
        if "text" in record:
            record.pop("facets", None)
            record |= {"text": WORDS[number % len(WORDS)], "langs": ["de" if number % 4 == 2 else "en"]}
        return made


@contextmanager
def network(folder: Path) -> Iterator[Stage]:
    """Some eighty posts a second for as long as the block lasts."""
    over = threading.Event()
    with Strangers().stage(folder) as stage:

        def talk() -> None:
            began, told = time.monotonic(), 0
            while not over.wait(0.1):
                due = int((time.monotonic() - began) * 80)
                stage.tell(due - told)
                told = due

        talking = threading.Thread(target=talk)
        talking.start()
        try:
            yield stage
        finally:
            over.set()
            talking.join()


def hosts(stage: Stage) -> dict[str, Any]:
    """The variables that lead the demo to it and nowhere else."""
    assert stage.server is not None
    found = {"GROUNDSWELL_CONNECTORS_LIVE_HOSTS": stage.server.socket_url}
    if "profiles" in bluesky.SETTINGS.__struct_fields__:
        found["GROUNDSWELL_CONNECTORS_LIVE_PROFILES"] = ""
    return found


def test_it_listens_to_what_complaints_are_understood_in() -> None:
    assert sorted(LANGUAGES) == sorted(UNDERSTOOD)


def test_what_strangers_say_runs_through_everything_and_is_deleted(home: Path, tmp_path: Path) -> None:
    with network(tmp_path) as stage:
        process = demo(home, "--live", "--seconds", "8", **hosts(stage))
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    told = re.search(
        r"(\d+) taken in = (\d+) shown \+ (\d+) superseded by edits \+ (\d+) deleted \+ (\d+) rep", said
    )
    assert told, said
    records, *parts = map(int, told.groups())
    assert records == sum(parts)
    assert 200 <= records <= 2200
    assert re.search(r"^en +\d+ +[1-9]\d* +[1-9]\d* +[1-9]\d* +[1-9]", said, re.M), "tone and complaints"
    assert re.search(r"^de +\d+ +[1-9]\d*$", said, re.M), "complaints and no tone"
    assert re.search(r"^Larkwell +brand +[1-9]", said, re.M)
    assert re.search(r"^urgent +[1-9]|^complaints +[1-9]", said, re.M)
    assert "COMPLAINT yes" in said
    assert not set("\x1b\u202e") & set(said)
    assert not (home / "live-demo").exists()
    assert left(home) == []


def test_interrupted_it_deletes_what_it_heard(home: Path, tmp_path: Path) -> None:
    with network(tmp_path) as stage:
        process = demo(home, "--live", "--seconds", "600", **hosts(stage))
        assert process.stdout is not None
        for line in process.stdout:
            if "listening" in line:
                break
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert not (home / "live-demo").exists()
    until(lambda: left(home) == [], why="all processes end")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_without_a_network_it_says_so_and_starts_nothing(home: Path, scheme: str) -> None:
    began = time.monotonic()
    with socket.socket() as nobody:
        # Held, so that no other server comes there meanwhile, and not listened on.
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        process = demo(home, "--live", GROUNDSWELL_CONNECTORS_LIVE_HOSTS=f"{scheme}://127.0.0.1:{port}")
        said, _ = process.communicate(timeout=120)
    assert time.monotonic() - began < 20
    assert (process.returncode, said) == (
        1,
        f"groundswell: there is no way to Bluesky from here (Jetstream at 127.0.0.1:{port} cannot be"
        " reached): connect this machine to the network, or run `groundswell demo` without --live, which"
        " needs none\n",
    )
    assert not (home / "live-demo").exists()
    assert left(home) == []
