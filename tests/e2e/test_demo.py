"""The demo, run as people run it: it shows what happened, and leaves no process behind however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.app.daemon import surroundings
from testkit.waiting import until


@pytest.fixture
def home() -> Iterator[Path]:
    """Directly below the system's temporary folder, for the servers' unprivileged user."""
    folder = Path(tempfile.mkdtemp(prefix="groundswell-demo-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def demo(home: Path, **environ: str) -> subprocess.Popen[str]:
    """The command, in a session of its own like a terminal's."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "pipeline.cli.main", "demo"],
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
    rest, _ = process.communicate(timeout=90)
    assert process.returncode == 130, "".join(seen) + rest
    assert "Traceback" not in rest
    until(lambda: left(home) == [], limit=15, why=str(left(home)))
