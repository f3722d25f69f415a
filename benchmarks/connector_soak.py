"""A connector against its misbehaving platform for minutes: is anything lost, does its memory stay flat?

    python benchmarks/connector_soak.py bluesky --minutes 20

The platform is told some posts a second, and every few seconds comes the next fault of the table. The
connector runs in a process of its own, so that its memory can be told from the platform's. Ends with status 1
when posts are lost or invented, or memory grew by more than a fifth after the first half.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil

from pipeline.app.registry import build_connector
from pipeline.core.errors import GroundswellError, RetryableError
from testkit.connector_drive import Fixture, Stage, fixture_of
from testkit.platform.faults import FAULTS

_FAULT_SECONDS = 3.0
_LAST_SECONDS = 60.0


def main() -> int:
    """Runs one of the two processes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=50, help="posts a second")
    parser.add_argument("--table", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.table:
        listen(args.kind, json.loads(args.table), args.home)
    fixture = fixture_of(args.kind)
    with tempfile.TemporaryDirectory() as folder, fixture.stage(Path(folder)) as stage:
        return soak(fixture, stage, Path(folder) / "home", args.minutes * 60, args.rate)


def listen(kind: str, table: dict[str, Any], home: Path) -> None:
    """The connector, driven as the pump does; what it brings goes to standard output, line by line."""
    connector, cursor = build_connector("soak", {"kind": kind, **table}, home), None
    while True:
        try:
            read = connector.read(cursor)
        except GroundswellError as error:
            say({"error": type(error).__name__})
            time.sleep((isinstance(error, RetryableError) and error.retry_after) or 0.1)
            if not isinstance(error, RetryableError):
                connector.close()
                connector = build_connector("soak", {"kind": kind, **table}, home)
            continue
        cursor = read.cursor
        say({"posts": [[post.id, post.deleted] for post in read.posts], "rejected": len(read.rejected)})
        time.sleep(read.wait or 0.0)


def say(what: dict[str, Any]) -> None:
    """One line to the other process."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Heard:
    """What came from the connector's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.got: set[tuple[str, bool]] = set()
        self.counts: Counter[str] = Counter()
        self._process = process
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            told = json.loads(line)
            self.counts[told.get("error", "reads")] += 1
            self.counts["rejected"] += told.get("rejected", 0)
            self.counts["posts, repeated ones too"] += len(told.get("posts", ()))
            self.got.update((post, deleted) for post, deleted in told.get("posts", ()))


def soak(fixture: Fixture, stage: Stage, home: Path, seconds: float, rate: int) -> int:
    """The platform's side; prints what came of it."""
    stage.tell(rate)
    call = [sys.executable, __file__, fixture.kind, "--home", str(home), "--table"]
    table = {**stage.table, "batch": 100}
    process = subprocess.Popen([*call, json.dumps(table)], stdout=subprocess.PIPE, text=True)
    heard = Heard(process)
    faults = cycle(fault for fault in FAULTS if fault.name not in fixture.exempt)
    memory: list[int] = []
    spoiled = 0
    try:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if time.monotonic() - began > spoiled * _FAULT_SECONDS:
                stage.spoil(next(faults))
                stage.interrupt()
                spoiled += 1
                memory.append(psutil.Process(process.pid).memory_info().rss // 1024)
            stage.tell(max(rate // 10, 1))
            time.sleep(0.1)
        stage.interrupt()
        while stage.timeline.expected - heard.got and time.monotonic() - began < seconds + _LAST_SECONDS:
            time.sleep(0.5)
    finally:
        process.kill()
        process.wait()
    return report(stage, heard, memory, spoiled)


def report(stage: Stage, heard: Heard, memory: list[int], spoiled: int) -> int:
    """The figures, and the status."""
    expected = stage.timeline.expected
    lost, invented = expected - heard.got, heard.got - expected
    early, late = max(memory[: len(memory) // 2]), max(memory[-max(len(memory) // 4, 1) :])
    print(f"{len(expected)} posts told, {len(lost)} lost, {len(invented)} invented, {spoiled} faults")
    print(", ".join(f"{name}: {count}" for name, count in sorted(heard.counts.items())))
    print(f"memory: {early} KB at most in the first half, {late} KB in the last quarter")
    if stage.server is not None:
        print(f"requests: {len(stage.server.asked)}, trespasses: {stage.server.trespasses}")
    for post, deleted in sorted(lost)[:5]:
        print(f"lost: {post}{' (deletion)' if deleted else ''}", file=sys.stderr)
    return int(bool(lost or invented) or late > early * 1.2)


if __name__ == "__main__":
    raise SystemExit(main())
