"""The benchmarks run: their smallest forms, so that they are there when somebody wants a figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.embedded.servers import Addresses

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SMALL = {
    "posts": 1_500,
    "rounds": 1,
    "latency": 2,
    "rate": 100,
    "alias-posts": 0,
    "customers": 2_000,
    "backlog": 2_000,
    "worker-posts": 0,
}
"""Of aliases and of workers there is no small form: a hundred thousand names take long to read, and two
workers must be at work for a while."""
PEERS = BENCHMARKS.parent / ".venv-peers" / "bin" / "python"


def run(program: str, *arguments: str) -> str:
    """What it prints."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / program), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_one_table_of_all_ratios(servers: Addresses, tmp_path: Path) -> None:
    file = tmp_path / "results" / "figures.json"
    sizes = [word for name, size in SMALL.items() for word in (f"--{name}", str(size))]
    peers = [] if PEERS.exists() else ["--no-peers"]
    told = run(
        "speed",
        *("--servers", servers.kafka, servers.elasticsearch, "--json", str(file)),
        *sizes,
        *peers,
    )
    assert str(file) in told
    assert max(map(len, told.replace(str(file), "").splitlines())) <= 100, told
    figures: dict[str, Any] = json.loads(file.read_bytes())
    rows = {(row["area"], row["what"], row["beside"]): row for row in figures["rows"]}
    assert all(row["got"] > 0 for row in rows.values())
    areas = {"index", "latency", "rules", "directory", "backlog"}
    assert {area for area, _, _ in rows} == (areas | {"memory", "topic"} if PEERS.exists() else areas)
    assert f"{sum(row['met'] is True for row in rows.values())} goals met" in told
    assert rows["latency", "queue topic p99", "the posts topic"]["goal"] == 150
    assert figures["input"]["posts"] == SMALL["posts"]
    assert told.lstrip().startswith(f"{SMALL['posts']:,} posts of {figures['input']['source']}, ")
    assert {"processor", "cores", "java", "kafka", "load_start", "load_end"} <= figures["machine"].keys()
    page = tmp_path / "page.md"
    page.write_text("# Before\n<!-- run -->\nold\n<!-- /run -->\nafter\n")
    run("speed", "--markdown", str(file), "--into", str(page))
    lines = page.read_text().splitlines()
    assert lines[0] == "# Before"
    assert lines[-1] == "after"
    assert "old" not in lines
    assert sum(line.startswith("| latency |") for line in lines) == 9


@pytest.mark.parametrize("posts", [300])
def test_the_parts_of_the_chain(posts: int) -> None:
    told = run("speed/parts.py", "--posts", str(posts), "--rounds", "1")
    assert {"decode", "customer", "route", "whole", "vaderSentiment"} <= {
        line.split()[0] for line in told.splitlines()
    }
