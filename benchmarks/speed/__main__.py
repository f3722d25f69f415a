"""Groundswell beside its peers: same posts, same servers, same run; prints one table of ratios.

``make bench``; or ``.venv/bin/python benchmarks/speed --posts 20000 --rounds 1`` for a quick one. What
is measured and how is told in docs/performance.md, the peers' settings in benchmarks/peers/README.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path

from bench import HERE, Bench
from contestants import CONTESTANTS, Contestant, Figure
from latency import latency
from ours import write_settings
from posts import lines_of, load, posts
from report import report

from pipeline.embedded.servers import running

PEERS = HERE.parent.parent / ".venv-peers" / "bin" / "python"


def main() -> int:
    """Runs every contestant in every round, so that what else the machine does meets all alike."""
    args = _arguments()
    if not args.peers.exists():
        sys.exit(f"{args.peers} is not there: `make peers` sets the peers' environment up")
    chosen = [c for c in CONTESTANTS if not args.only or any(word in _full(c) for word in args.only)]
    # Below the system's temporary folder itself: the servers' unprivileged user must be able to enter.
    home = Path(tempfile.mkdtemp(prefix="groundswell-speed-"))
    try:
        with running(home, announce=_say) as addresses:
            config = write_settings(home / "settings")
            bench = Bench(home, addresses.kafka, addresses.elasticsearch, args.peers, config)
            _fill(bench, args.posts)
            figures = _run(bench, chosen, args.rounds)
            under_way = latency(bench, args.rate, args.latency) if args.latency else {}
            bench.client.close()
    finally:
        if args.keep:
            _say(f"kept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    report([c for c in chosen if figures[_full(c)]], figures, args.posts, under_way, args.json)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="the best one counts")
    parser.add_argument(
        "--latency", type=int, default=30, help="seconds of the latency's measurement; 0: none"
    )
    parser.add_argument("--rate", type=int, default=1_000, help="posts a second meanwhile")
    parser.add_argument("--only", action="append", help="contestants whose `end: name` contains this")
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python of the peers' environment")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--keep", action="store_true", help="keep the home with its logs")
    return parser.parse_args()


def _full(contestant: Contestant) -> str:
    return f"{contestant.ends_in}: {contestant.name}"


def _fill(bench: Bench, count: int) -> None:
    found = posts(count)
    bench.ids, bench.lines = [post["id"] for post in found], lines_of(found)
    bench.file.write_bytes(b"\n".join(bench.lines) + b"\n")
    bench.make_topic(bench.input)
    load(bench.kafka, bench.input, bench.ids, bench.lines)


def _run(bench: Bench, chosen: list[Contestant], rounds: int) -> dict[str, list[Figure]]:
    figures: dict[str, list[Figure]] = defaultdict(list)
    for number, contestant in product(range(rounds), chosen):
        try:
            figure = contestant.run(bench, number)
        except KeyboardInterrupt:
            _say("stopped: the table shows what is measured so far")
            break
        figures[_full(contestant)].append(figure)
        _say(
            f"round {number + 1}: {_full(contestant):<46} {figure.rate:>8,.0f} posts/s"
            f" {figure.cpu:>6.0f} µs of CPU a post"
        )
    return figures


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
