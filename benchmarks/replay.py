"""The whole replay through everything, timed: real posts with edits, deletions, repeats and invalid lines.

Starts its own servers, sends the stream twice, checks the end against what the stream says, and prints
posts a second, beside what the same Elasticsearch takes of ready-made bodies of the same documents.
``make bench``; or ``python benchmarks/replay.py --posts 5000`` for a quick one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from elasticsearch import Elasticsearch

from pipeline.app.log_reader import read_topic
from pipeline.app.topics import topics_of
from pipeline.core.event import Event, decode_event
from pipeline.core.version import is_deletion
from pipeline.embedded.servers import running
from sinks.elastic import encode, request
from testkit.installation import Installation, rows_of
from testkit.shared import replay_posts, shared_folder
from testkit.unruly import Expected, Mix, lines_of, unruly

SEED = 20261122
BATCH = 1000


def main() -> int:
    """Runs the benchmark; status 1 when the end is not what the stream says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, help="at most so many distinct posts (default: all)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    posts = _posts(args.posts)
    share = len(posts) / 56248
    mix = Mix(int(5000 * share), int(500 * share), int(5000 * share), int(300 * share))
    lines, expected = unruly(posts, mix, SEED)
    # Below the system's temporary folder itself: the servers' unprivileged user must be able to enter.
    home = Path(tempfile.mkdtemp(prefix="groundswell-bench-"))
    try:
        with running(home, announce=_say) as addresses:
            file = home / "posts.jsonl"
            file.write_bytes(lines_of(lines))
            installation = Installation(home, "bench", addresses.kafka, addresses.elasticsearch)
            figures = _measure(installation, file, expected)
            installation.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    _report(figures, len(lines), args.json)
    return 0 if figures["right"] else 1


def _posts(at_most: int | None) -> list[dict[str, Any]]:
    shared = shared_folder(Path(__file__))
    if shared is not None:
        return replay_posts(shared, at_most)
    _say("the shared posts are not here; taking the demo's, copied")
    lines = (files("configs") / "demo" / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    whole = {p["id"]: p for p in map(json.loads, lines) if "text" in p and "edited_at" not in p}
    copies = (at_most or 20_000) // len(whole) + 1
    return [{**p, "id": f"{p['id']}.{n}"} for n in range(copies) for p in whole.values()][:at_most]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _measure(installation: Installation, file: Path, expected: Expected) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    daemon = installation.daemon("enrich", "index", "directory")
    while installation.role_pid("index") is None:
        time.sleep(0.1)
    for name in ("first", "second"):
        began = time.monotonic()
        sent = installation.command("replay", str(file))
        if sent.returncode:
            raise SystemExit(sent.stderr.decode())
        figures[f"{name}_sent_s"] = time.monotonic() - began
        installation.settle(daemon, limit=900)
        figures[f"{name}_searchable_s"] = time.monotonic() - began
    began = time.monotonic()
    ledger, findings = installation.audit()
    figures["audit_s"] = time.monotonic() - began
    documents = rows_of(installation.documents())
    live = {i: row.source["text"] for i, row in documents.items() if not row.source["deleted"]}
    stubs = {i for i, row in documents.items() if row.source["deleted"]}
    figures["right"] = (
        live == expected.texts
        and stubs == expected.stubs
        and not findings
        and ledger.refused_before == len(set(expected.invalid))
    )
    figures["ledger"] = msgspec.to_builtins(ledger)
    daemon.stop()
    figures["ready_made_s"], figures["ready_made_docs"] = _ready_made(installation)
    return figures


def _ready_made(installation: Installation) -> tuple[float, int]:
    """Seconds that Elasticsearch takes for the same live documents as ready bodies, in one thread."""
    newest: dict[str, Event] = {}
    events = topics_of(installation.settings.kafka).events.name
    for portion in read_topic(installation.kafka, events):
        for record in portion:
            event = decode_event(record.value or b"")
            if not is_deletion(event.version):
                newest[event.post.id] = event
    documents = list(newest.values())
    bodies = [_body(documents[at : at + BATCH]) for at in range(0, len(documents), BATCH)]
    client: Elasticsearch = installation.client
    return _timed(lambda: [request(client, "POST", "/_bulk", body, lines=True) for body in bodies]), len(
        documents
    )


def _body(events: list[Event]) -> bytes:
    rows = []
    for event in events:
        index = event.index.replace("bench-posts", "bench-posts-ready")
        rows.append(json.dumps({"index": {"_index": index, "_id": event.post.id}}).encode())
        rows.append(encode(event))
    return b"\n".join(rows) + b"\n"


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _report(figures: dict[str, Any], lines: int, path: Path | None) -> None:
    ready = figures["ready_made_docs"] / figures["ready_made_s"]
    rates = {
        "replay into Kafka": lines / figures["first_sent_s"],
        "replay to searchable, first time": lines / figures["first_searchable_s"],
        "replay to searchable, all known": lines / figures["second_searchable_s"],
        "Elasticsearch alone, ready-made bodies": ready,
    }
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    print(f"{lines} lines; {os.cpu_count()} cores, {memory} GiB, Python {platform.python_version()}")
    for name, rate in rates.items():
        print(f"{name:<42} {rate:>9,.0f} a second   {rate / ready:5.2f} of Elasticsearch alone")
    print(f"audit: {figures['audit_s']:.1f} s; the end is {'right' if figures['right'] else 'WRONG'}")
    print(", ".join(f"{name} {count}" for name, count in figures["ledger"].items()))
    if path is not None:
        path.write_text(json.dumps({"lines": lines, "rates": rates, **figures}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
