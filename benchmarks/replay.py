"""The whole replay through everything, timed: real posts with edits, deletions, repeats and invalid lines.

All steps, with the airlines' brands and twenty rules (benchmarks/airlines) and customers among the authors.
Starts its own servers, imports the customers, sends the stream twice, checks the end against what the stream
says (every text, stub, link and case), and prints posts a second, beside what the same Elasticsearch takes of
ready-made bodies of the same documents. Then some customers go, and the posts must lose their links.
``python benchmarks/replay.py``, with ``--posts 5000`` for a quick one.
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
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from elasticsearch import Elasticsearch

from pipeline.app.daemon import Daemon
from pipeline.app.log_reader import read_topic
from pipeline.app.topics import topics_of
from pipeline.core.event import Event, decode_event
from pipeline.core.version import is_deletion
from pipeline.embedded.servers import running
from pipeline.identity.directory import FOLDER, DirectoryReader
from sinks.cases import Cases
from sinks.elastic import encode, request
from testkit.books import customers_among, write_rows
from testkit.installation import Installation, rows_of
from testkit.shared import replay_posts, shared_folder
from testkit.unruly import Expected, Mix, lines_of, unruly
from testkit.waiting import until

SEED = 20261122
BATCH = 1000
AIRLINES = Path(__file__).parent / "airlines"


def main() -> int:
    """Runs the benchmark; status 1 when the end is not what the stream says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, help="at most so many distinct posts (default: all)")
    parser.add_argument("--customers", type=int, default=5000, help="how many (default: 5000)")
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
            books = customers_among(posts, args.customers, {"twcs:AmericanAir"})
            write_rows(home / "customers.jsonl", books)
            installation = Installation(
                home,
                "bench",
                addresses.kafka,
                addresses.elasticsearch,
                GROUNDSWELL_DIRECTORY_SETTLE_SECONDS="10",
                GROUNDSWELL_ENRICHERS_DIRECTION_FILE=str(AIRLINES / "brands.toml"),
                GROUNDSWELL_ENRICHERS_ENTITIES_FILE=str(AIRLINES / "brands.toml"),
                GROUNDSWELL_ENRICHERS_ROUTE_FILE=str(AIRLINES / "routing.toml"),
            )
            figures = _measure(installation, file, expected, books)
            installation.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    _report(figures, len(lines), args.json)
    return 1 if figures["wrong"] or figures["audit_after"] else 0


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


def _measure(
    installation: Installation, file: Path, expected: Expected, books: list[dict[str, Any]]
) -> dict[str, Any]:
    figures: dict[str, Any] = {"customers": len(books)}
    daemon = installation.daemon("enrich", "index", "directory")
    began = time.monotonic()
    _command(installation, "customer", "import", str(installation.home / "customers.jsonl"))
    figures["import_s"] = time.monotonic() - began
    until(lambda: _in_the_books(installation) == len(books), limit=120, why="the directory is whole")
    figures["directory_s"] = time.monotonic() - began
    for name in ("first", "second"):
        began = time.monotonic()
        _command(installation, "replay", str(file))
        figures[f"{name}_sent_s"] = time.monotonic() - began
        installation.settle(daemon, limit=900)
        figures[f"{name}_searchable_s"] = time.monotonic() - began
    began = time.monotonic()
    ledger, findings = installation.audit()
    figures["audit_s"] = time.monotonic() - began
    figures["ledger"] = msgspec.to_builtins(ledger)
    documents = rows_of(installation.documents())
    live = {i: row.source for i, row in documents.items() if not row.source["deleted"]}
    figures["wrong"] = [str(finding) for finding in findings[:5]] + [
        words
        for words, fine in (
            ("texts differ", {i: row["text"] for i, row in live.items()} == expected.texts),
            ("stubs differ", set(documents) - set(live) == expected.stubs),
            ("invalid lines are missing", ledger.refused_before == len(set(expected.invalid))),
            ("links differ", _linked(live) == _expected_links(live, books)),
            ("cases differ", _case_faults(installation, live) == []),
        )
        if not fine
    ]
    figures["linked"] = len(_linked(live))
    figures["cases"] = len(_cases(installation))
    figures |= _leave(installation, daemon, books)
    daemon.stop()
    figures["ready_made_s"], figures["ready_made_docs"] = _ready_made(installation)
    return figures


def _command(installation: Installation, *words: str) -> None:
    ended = installation.command(*words)
    if ended.returncode:
        raise SystemExit(ended.stderr.decode())


def _in_the_books(installation: Installation) -> int:
    reader = DirectoryReader(installation.home / FOLDER)
    try:
        return reader.customers() if reader.fresh_at() else 0
    finally:
        reader.close()


def _linked(live: dict[str, Any]) -> dict[str, str]:
    return {i: row["customer"]["id"] for i, row in live.items() if "customer" in row}


def _expected_links(live: dict[str, Any], books: list[dict[str, Any]]) -> dict[str, str]:
    of = {row["accounts"][0]["id"]: row["customer_id"] for row in books}
    return {
        i: of[row["author"]["id"]]
        for i, row in live.items()
        if row["author"]["id"] in of and row["direction"] == "inbound"
    }


def _cases(installation: Installation) -> list[dict[str, Any]]:
    store = Cases(installation.client, installation.settings.elasticsearch).store
    store.refresh()
    return [found.source for found in store.search({"exists": {"field": "queue"}})]


def _case_faults(installation: Installation, live: dict[str, Any]) -> list[str]:
    """Routed posts that are not in exactly one case; the replay has no threads, so each has its own."""
    held = Counter(post for case in _cases(installation) for post in case["posts"])
    routed = {i for i, row in live.items() if row.get("routes")}
    return sorted(i for i in routed if held[i] != 1) + sorted(i for i, count in held.items() if count > 1)


def _leave(installation: Installation, daemon: Daemon, books: list[dict[str, Any]]) -> dict[str, Any]:
    """A tenth of the customers who post go; seconds until none of their posts is linked to them."""
    gone = [row["customer_id"] for row in books[: len(books) // 20]]
    asked = {"query": {"terms": {"customer.id": gone}}, "index": f"{installation.prefix}-posts"}
    before = int(installation.client.count(**asked)["count"])
    began = time.monotonic()
    _command(installation, "customer", "remove", *gone)

    def none_left() -> bool:
        installation.client.indices.refresh(index=f"{installation.prefix}-posts")
        return int(installation.client.count(**asked)["count"]) == 0

    until(none_left, limit=120, why="links of those who went are gone")
    seconds = time.monotonic() - began
    installation.settle(daemon, limit=120)
    _, findings = installation.audit()
    return {"unlinked": before, "unlinked_s": seconds, "audit_after": len(findings)}


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
    print(
        f"{figures['customers']:,} customers: imported in {figures['import_s']:.1f} s, in the directory after"
        f" {figures['directory_s']:.1f} s; {figures['linked']:,} posts linked; {figures['cases']:,} cases"
    )
    print(
        f"{figures['unlinked']:,} posts of those who went lost their links in {figures['unlinked_s']:.1f} s"
    )
    wrong = "; ".join(figures["wrong"])
    print(f"audit: {figures['audit_s']:.1f} s; the end is {f'WRONG: {wrong}' if wrong else 'right'}")
    print(", ".join(f"{name} {count}" for name, count in figures["ledger"].items()))
    if path is not None:
        path.write_text(json.dumps({"lines": lines, "rates": rates, **figures}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
