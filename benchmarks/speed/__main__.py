"""Groundswell beside its peers, and beside its own goals: same posts, same servers, same run, one table.

``make bench``; ``make bench QUICK=1`` to see that all of it works; ``--only backlog`` for one part of it.
What is measured and how is told in docs/performance.md, the peers' settings in benchmarks/peers/README.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from backlog import backlog
from bench import HERE, Bench
from contestants import CONTESTANTS, Contestant, Figure
from growth import GROWTH
from latency import latency
from machine import describe, load
from page import completed, put, run_of
from report import Measured, report
from rows import Row, compared
from workers import workers

from pipeline.embedded.interrupts import terminable
from pipeline.embedded.servers import Addresses, running

PEERS = HERE.parent.parent / ".venv-peers" / "bin" / "python"
RESULTS = Path("benchmarks") / "results"
SIZES = {
    # name: (shipped, quick, what it is)
    "posts": (40_000, 8_000, "posts that every contestant takes"),
    "rounds": (3, 1, "runs of every contestant; the best counts"),
    "latency": (30, 8, "seconds of the latency's measurement"),
    "rate": (1_000, 1_000, "posts a second meanwhile"),
    "alias-posts": (5_000, 2_000, "posts through chains of few and many names"),
    "customers": (1_000_000, 100_000, "customers of the large directory"),
    "backlog": (225_000, 30_000, "posts of the backlog"),
    "worker-posts": (120_000, 40_000, "posts for one and for two enrich workers"),
}


def main() -> int:
    """Runs what is asked for. The status says whether all could be measured, not whether goals are met."""
    args = _arguments()
    if args.markdown:
        first, *others = (json.loads(file.read_bytes()) for file in args.markdown)
        put(run_of(completed(first, others)), "run", args.into)
        return 0
    if args.with_peers and not args.peers.exists():
        sys.exit(f"{args.peers} is not there: `make peers` sets the peers' environment up")
    # Whoever is told to end ends the servers as well.
    with terminable(), _servers(args) as (home, addresses), Bench(home, *addresses, args.peers) as bench:
        found = _measured(bench, args)
    report(found, args.json)
    return 1 if found.failed else 0


def _measured(bench: Bench, args: argparse.Namespace) -> Measured:
    """What could be measured, and what failed."""
    chosen = [c for c in CONTESTANTS if _wanted(args, c.full) and (args.with_peers or not c.is_peer_program)]
    figures: dict[str, list[Figure]] = defaultdict(list)
    rows: list[Row] = []
    seconds: dict[str, float] = {}
    failed: list[str] = []
    machine = describe(bench) | {"load_start": load()}
    with _timed("all", seconds):
        bench.fill(args.posts)
        try:
            with _timed("contestants", seconds):
                _contest(bench, chosen, args.rounds, figures, failed)
            for name, part in _parts(bench, args):
                with _timed(name, seconds), _noted(name, failed):
                    rows += part()
        except KeyboardInterrupt:
            failed.append("stopped: the table shows what was measured so far")
    machine["load_end"] = load()
    settings = {name: value for name, value in vars(args).items() if isinstance(value, int | list)}
    rows = [*compared(figures), *rows]
    return Measured(rows, figures, chosen, failed, bench.about, seconds, machine, settings)


@contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = round(time.monotonic() - began, 1)
        _say(f"{name}: {seconds[name]:,.0f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small: does it work? The figures are rough")
    for name, (shipped, quick, what) in SIZES.items():
        told = f"{what}; 0: none (default: {shipped:,}, quick {quick:,})"
        parser.add_argument(f"--{name}", type=int, help=told)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="what has this in its name, such as `memory:` or `backlog`",
    )
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python of the peers' environment")
    parser.add_argument("--no-peers", dest="with_peers", action="store_false", help="ours alone")
    parser.add_argument(
        "--json", type=Path, help="where to write all figures (default: below benchmarks/results)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the home with its logs")
    parser.add_argument(
        "--markdown",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="no run: this one's tables as Markdown; parts that failed in it are taken from the others",
    )
    parser.add_argument("--into", type=Path, metavar="PAGE", help="put these into the page")
    parser.add_argument("--servers", nargs=2, metavar=("KAFKA", "URL"), help="these, not servers of its own")
    args = parser.parse_args()
    for name, (shipped, quick, _) in SIZES.items():
        if getattr(args, name.replace("-", "_")) is None:
            setattr(args, name.replace("-", "_"), quick if args.quick else shipped)
    args.json = args.json or RESULTS / f"{time.strftime('%Y-%m-%dT%H%M%S')}.json"
    return args


def _wanted(args: argparse.Namespace, name: str) -> bool:
    return not args.only or any(word in name for word in args.only)


@contextmanager
def _servers(args: argparse.Namespace) -> Iterator[tuple[Path, tuple[str, str]]]:
    """A home of its own, and servers: those named, else some that end with the block."""
    # Below the system's temporary folder itself: the servers' unprivileged user must be able to enter.
    home = Path(tempfile.mkdtemp(prefix="groundswell-speed-"))
    try:
        if args.servers:
            yield home, tuple(args.servers)
        else:
            with running(home, announce=_say) as found:
                yield home, _both(found)
    finally:
        if args.keep:
            _say(f"kept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def _both(found: Addresses) -> tuple[str, str]:
    return found.kafka, found.elasticsearch


@contextmanager
def _noted(name: str, failed: list[str]) -> Iterator[None]:
    """One that fails spoils nothing of the others."""
    try:
        yield
    except (Exception, SystemExit) as error:
        failed.append(f"{name}: {type(error).__name__}: {error}")
        _say(f"FAILED {failed[-1]}")


def _contest(
    bench: Bench,
    chosen: list[Contestant],
    rounds: int,
    figures: dict[str, list[Figure]],
    failed: list[str],
) -> None:
    """Every contestant in every round, so that what else the machine does meets all alike."""
    for number in range(rounds):
        for contestant in _in_turn(chosen, number):
            with _noted(contestant.full, failed):
                figure = contestant.run(bench, number)
                figures[contestant.full].append(figure)
                _say(
                    f"round {number + 1}: {contestant.full:<46} {figure.rate:>8,.0f} posts/s"
                    f" {figure.cpu:>6.0f} µs of CPU a post"
                )


def _in_turn(chosen: list[Contestant], number: int) -> Iterator[Contestant]:
    """Of those that end in one place another is first in each round."""
    for _, some in groupby(chosen, key=lambda contestant: contestant.ends_in):
        group = list(some)
        first = number % len(group)
        yield from group[first:] + group[:first]


def _parts(bench: Bench, args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """What is held against a goal of its own, not against a peer."""
    sizes: dict[str, tuple[int, Callable[[int], list[Row]]]] = {
        "latency": (args.latency, lambda size: latency(bench, args.rate, size)),
        "aliases": (args.alias_posts, GROWTH["aliases"]),
        "rules": (1, GROWTH["rules"]),
        "directory": (args.customers, GROWTH["directory"]),
        "workers": (args.worker_posts, lambda size: workers(bench, size, min(args.rounds, 2))),
        "backlog": (args.backlog, lambda size: backlog(bench, size)),
    }
    for name, (size, work) in sizes.items():
        if size and _wanted(args, name):
            yield name, lambda name=name, size=size, work=work: _told(name, work(size))


def _told(name: str, rows: list[Row]) -> list[Row]:
    for row in rows:
        _say(f"{name}: {row.what} {row.got:,.2f} {row.unit} {row.beside}")
    return rows


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
