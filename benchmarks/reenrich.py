"""Live posts with and without a re-enrichment beside them, turn by turn: by how much does their latency grow?

    python benchmarks/reenrich.py --rate 300 --seconds 30 --turns 3

Starts servers and an installation of its own with the full chain but for the link to customers. Latency into
the events topic is by Kafka's own clock: of the event less that of the post. Searchable is from sending until
a search finds the post. Prints a table and one line of JSON; ends with status 1 where p99 grew by more than
a half, or fewer than LEAST posts a second were enriched once more meanwhile: idling disturbs nobody.
On a machine that is busy with other things it measures these.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import ensure_topics
from pipeline.core.event import decode_event
from pipeline.core.pace import LEAST
from pipeline.core.version import unpack
from pipeline.embedded.ports import RANGE, is_free
from pipeline.embedded.servers import start_elasticsearch, start_kafka, stop
from testkit.installation import Installation
from testkit.rulebooks import STEPS, Rulebooks
from testkit.shared import replay_posts, shared_folder

MOST_GROWTH = 1.5
_TICK = 0.02
_PROBES_A_SECOND = 5
_TEXTS = (
    "Acme and Bolt on fire, what a shame",
    "I love the water of Acme",
    "Bolt again, no reply since Monday",
)


def main() -> int:
    """Runs all turns and prints what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=300, help="live posts a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=3, help="of each kind")
    parser.add_argument("--old", type=int, default=20_000, help="posts to be enriched once more")
    parser.add_argument("--reenrich-rate", default="200", help="as `reenrich --rate`")
    args = parser.parse_args()
    # Whoever ends it ends the servers, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = Path(tempfile.mkdtemp(prefix="groundswell-reenrich-"))
    try:
        with _shop(home) as (shop, books):
            return _measure(shop, books, args)
    finally:
        for name in ("kafka", "elasticsearch"):
            stop(home, name)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _shop(home: Path) -> Iterator[tuple[Installation, Rulebooks]]:
    ports = (port for port in random.sample(RANGE, 100) if is_free(port))
    kafka, elasticsearch = start_kafka(home, next(ports)), start_elasticsearch(home, next(ports))
    books = Rulebooks(home)
    books.know("Acme")
    books.route({"fire": "urgent", "reply": "answers"})
    shop = Installation(home / "home", "bench", kafka, elasticsearch, **books.variables)
    try:
        yield shop, books
    finally:
        shop.close()


def _measure(shop: Installation, books: Rulebooks, args: argparse.Namespace) -> int:
    live = Live(shop, args.rate)
    daemon = shop.daemon("enrich", "index")
    live.send_old(args.old)
    shop.settle(daemon)
    books.know("Acme", "Bolt")
    live.run("warm", 5.0)
    turns: list[tuple[str, str]] = []
    for turn in range(args.turns):
        shop.settle(daemon)  # what a busy machine still had to do counts for neither of the two
        live.run(f"alone{turn}", args.seconds)
        command = shop.start("reenrich", "--enricher", "entities", "--rate", args.reenrich_rate)
        assert command.stderr is not None
        sys.stderr.write(command.stderr.readline().decode())  # it has counted, and begins to send
        live.run(f"beside{turn}", args.seconds)
        ended_early = command.poll() is not None
        command.send_signal(signal.SIGINT)
        _, told = command.communicate(timeout=60)
        sys.stderr.write(told.decode())
        if ended_early:
            sys.stderr.write("it was through before the turn was over: take a lower rate or fewer turns\n")
            return 2
        turns.append((f"alone{turn}", f"beside{turn}"))
    shop.settle(daemon)
    to_events, again = live.to_events()
    found = {"events topic": to_events, "searchable": live.searchable}
    return _tell(found, turns, again / (args.turns * args.seconds), args)


def _tell(
    found: dict[str, dict[str, list[float]]], turns: list[tuple[str, str]], again: float, args: Any
) -> int:
    out: dict[str, Any] = {"live_rate": args.rate, "seconds": args.seconds, "steps": STEPS}
    out["enriched once more, a second"] = round(again)
    sys.stdout.write(f"enriched once more: {again:.0f} posts a second beside {args.rate} live ones\n")
    worst = 0.0
    for place, of in found.items():
        alone = sorted(value for turn, _ in turns for value in of[turn])
        beside = sorted(value for _, turn in turns for value in of[turn])
        for share in (0.5, 0.99):
            one, other = _at(alone, share), _at(beside, share)
            out[f"{place} p{share * 100:.0f}"] = [round(one), round(other), round(other / one, 2)]
            sys.stdout.write(
                f"{place:13} p{share * 100:.0f}: alone {one:6.0f} ms, beside {other:6.0f} ms,"
                f" ratio {other / one:.2f}\n"
            )
        worst = max(worst, _at(beside, 0.99) / _at(alone, 0.99))
    sys.stdout.write(json.dumps(out) + "\n")
    return 1 if worst > MOST_GROWTH or again < LEAST else 0


def _at(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)]


class Live:
    """Posts that come in at a steady rate; the ids tell the turn."""

    def __init__(self, shop: Installation, rate: int) -> None:
        self._shop = shop
        self._rate = rate
        self._topics = ensure_topics(shop.kafka, shop.settings.kafka)
        self._producer = Producer(shop.kafka)
        self.searchable: dict[str, list[float]] = {}
        shared = shared_folder(Path(__file__))
        self._texts = [post["text"] for post in replay_posts(shared, 5000)] if shared else list(_TEXTS)

    def _record(self, id: str, number: int) -> Record:
        text = f"{_TEXTS[number % 3] if number % 10 == 0 else self._texts[number % len(self._texts)]}"
        post = {"id": id, "text": text, "author": {"id": f"x:{number % 1000}"}, "source": "x"}
        post["created_at"] = "2026-11-20T10:00:00Z"
        return Record(self._topics.posts.name, id.encode(), json.dumps(post).encode())

    def send_old(self, count: int) -> None:
        """Posts that are to be enriched once more later."""
        self._producer.deliver([self._record(f"x:old{number}", number) for number in range(count)])

    def run(self, turn: str, seconds: float) -> None:
        """One turn; what was measured of it stands under its name."""
        over = threading.Event()
        probes = threading.Thread(target=self._probe, args=(turn, over))
        probes.start()
        began = time.monotonic()
        sent = 0
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * self._rate)
            self._producer.send([self._record(f"x:{turn}-{number}", number) for number in range(sent, due)])
            sent = due
            time.sleep(_TICK)
        over.set()
        probes.join()

    def _probe(self, turn: str, over: threading.Event) -> None:
        """A few posts a second, each looked for until a search finds it."""
        taken: list[float] = self.searchable.setdefault(turn, [])
        waiting: dict[str, float] = {}
        number, due = 0, time.monotonic()
        while not over.is_set() or waiting:
            now = time.monotonic()
            if now >= due and not over.is_set():
                id = f"x:{turn}-probe{number}"
                waiting[id] = now
                self._producer.send([self._record(id, number)])
                number, due = number + 1, due + 1 / _PROBES_A_SECOND
            hits = self._shop.client.search(
                index="bench-posts-*", query={"ids": {"values": list(waiting)}}, size=1000, source=False
            )["hits"]["hits"]
            now = time.monotonic()
            taken += [(now - waiting.pop(hit["_id"])) * 1000 for hit in hits]
            time.sleep(0.05)

    def to_events(self) -> tuple[dict[str, list[float]], int]:
        """Milliseconds from the posts topic to the events topic, by turn; and how many were re-enriched."""
        again = 0
        came: dict[bytes, int] = {}
        for portion in read_topic(self._shop.kafka, self._topics.posts.name):
            for record in portion:
                came.setdefault(record.key, record.timestamp)
        found: dict[str, list[float]] = {}
        for portion in read_topic(self._shop.kafka, self._topics.events.name):
            for record in portion:
                again += unpack(decode_event(record.value or b"").version)[1] > 0
                turn = record.key.decode().partition(":")[2].partition("-")[0]
                if record.key in came and turn.startswith(("alone", "beside")):
                    found.setdefault(turn, []).append(record.timestamp - came.pop(record.key))
        return found, again


if __name__ == "__main__":
    sys.exit(main())
