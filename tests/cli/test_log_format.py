"""`--log-format json` holds for every line of a command, for its last words and its children's too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.app.daemon import surroundings
from testkit.waiting import until

COMMAND = [sys.executable, "-m", "pipeline.cli.main"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An installation whose Kafka is away for good."""
    own = {
        "GROUNDSWELL_HOME": str(tmp_path),
        "GROUNDSWELL_CONFIG": os.devnull,
        "GROUNDSWELL_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "GROUNDSWELL_ELASTICSEARCH_URL": "http://127.0.0.1:1",
        "GROUNDSWELL_HTTP_PORT": "0",
    }
    return surroundings(os.environ, **own)


def test_a_wrong_call_is_told_in_json(environ: dict[str, str]) -> None:
    call = [*COMMAND, "run", "--role", "collcet", "--log-format", "json"]
    done = subprocess.run(call, env=environ, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    entry = json.loads(line)
    assert entry["message"].startswith("there is no role `collcet`")
    assert entry["log.level"] == "critical"


def test_without_it_a_person_is_told(environ: dict[str, str]) -> None:
    call = [*COMMAND, "run", "--role", "collcet"]
    done = subprocess.run(call, env=environ, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("groundswell: there is no role `collcet`")


def test_the_roles_below_the_supervisor_log_as_it_does(environ: dict[str, str]) -> None:
    call = [*COMMAND, "run", "--role", "collect,enrich", "--log-format", "json"]
    process = subprocess.Popen(call, env=environ, stderr=subprocess.PIPE)
    assert process.stderr is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(line.decode() for line in process.stderr or ()))
    reader.start()
    try:
        # The health page of each, and that it waits.
        until(lambda: sum("health at" in line for line in lines) == 2, 120, "both roles have begun")
        until(lambda: sum("trying again" in line for line in lines) >= 2, 120, "both wait for Kafka")
        process.send_signal(signal.SIGHUP)
        until(lambda: any("told to look again" in line for line in lines), why="their parent says something")
    finally:
        process.terminate()
        process.wait(90)
        reader.join(30)
        process.stderr.close()
    entries = [json.loads(line) for line in lines]
    assert {entry["event.dataset"] for entry in entries} == {
        "groundswell.collect",
        "groundswell.enrich",
        "groundswell.run",
    }
