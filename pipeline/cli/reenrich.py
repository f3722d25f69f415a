"""``groundswell reenrich``: old posts once more through the steps of today."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.app.reenriching.run import Tally, Ways
    from pipeline.core.reenrichment import Choice, Wish
    from pipeline.core.settings import Settings

RATE = 200.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("reenrich", help="send old posts through the enrichers once more")
    option = command.add_argument
    option("--since", metavar="WHEN", help="written from then on: 2026-11-22, a time, or 7d, 24h, 90m")
    option("--until", metavar="WHEN", help="written before then")
    option("--source", default="", metavar="NAME", help="only posts of this source, such as x")
    option(
        "--enricher",
        action="append",
        default=[],
        metavar="NAME",
        help="only posts for which this step has changed; may be repeated (default: any step)",
    )
    option("--rate", type=float, default=RATE, metavar="N", help=f"posts a second, at most ({RATE:.0f})")
    option("--new-cases", action="store_true", help="let posts come to queues where they were not before")
    option("--dry-run", action="store_true", help="only count what would be sent")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sends what is stale; called again it goes on, and at last finds nothing."""
    from pipeline.app import logs, role_lock
    from pipeline.app.configuration import home_for, settings_for
    from pipeline.app.reenriching.run import counted

    settings = settings_for(args)
    logs.set_up("warning")
    if not args.rate > 0:
        raise ConfigError("--rate must be above 0")
    home = home_for(args)
    wish = _wish(args)
    ways, choice = _prepared(settings, home, wish, args.rate)
    lock = None if args.dry_run else role_lock.take(home, "reenrich")
    try:
        found = counted(ways, choice)
        stale = found["stale"]
        beside = (
            f"{found['current']} are up to date, {found['deleted']} deleted, {found['other']} not asked for"
        )
        if args.dry_run:
            print(f"would send {stale} posts; {beside}", file=sys.stderr)
            return 0
        print(f"{stale} posts are to be enriched once more; {beside}", file=sys.stderr)
        return _send(ways, choice, wish, stale)
    finally:
        ways.beside.close()
        ways.producer.close()
        if lock is not None:
            os.close(lock)


def _wish(args: argparse.Namespace) -> Wish:
    from pipeline.app.moment import moment
    from pipeline.app.site import now
    from pipeline.core.reenrichment import Wish

    at = now()
    since = moment(args.since, at) if args.since else None
    until = moment(args.until, at) if args.until else None
    if since and until and since >= until:
        raise ConfigError("--since is not before --until")
    steps = tuple(dict.fromkeys(args.enricher))
    return Wish(since=since, until=until, source=args.source, steps=steps, new_cases=args.new_cases)


def _prepared(settings: Settings, home: Path, wish: Wish, rate: float) -> tuple[Ways, Choice]:
    """What the run works with; the chain is built for its versions alone."""
    from pipeline.app.configuration import brokers_of
    from pipeline.app.producer import Producer
    from pipeline.app.reenriching.beside import Beside
    from pipeline.app.reenriching.run import Ways
    from pipeline.app.registry import build_chain
    from pipeline.app.topics import ensure_topics
    from pipeline.core.pace import Pace
    from pipeline.core.reenrichment import Choice

    choice = Choice(wish, build_chain(settings, home))
    brokers = brokers_of(settings, home)
    topics = ensure_topics(brokers, settings.kafka)
    beside = Beside(brokers, settings, topics, Pace(rate), lambda told: print(told, file=sys.stderr))
    producer = Producer(brokers, client_id="groundswell-reenrich")
    return Ways(brokers, topics, producer, beside, settings.elasticsearch.prefix), choice


def _send(ways: Ways, choice: Choice, wish: Wish, stale: int) -> int:
    from pipeline.app.reenriching.run import Reenricher

    began = time.monotonic()
    reenricher = Reenricher(ways, choice, held=not wish.new_cases, report=_reporter(stale, began))
    interrupted = False
    try:
        if stale:
            reenricher.run()
    except KeyboardInterrupt:
        interrupted = True
    tally, seconds = reenricher.tally, max(time.monotonic() - began, 1e-9)
    if sys.stderr.isatty() and stale:
        print(file=sys.stderr)
    kept = f"; {tally.kept} stay as they are, for their dates lay in the future" if tally.kept else ""
    refused = (
        f"; enrich did not take {tally.refused}, see `groundswell rejected list`" if tally.refused else ""
    )
    print(
        f"enriched {tally.sent} posts once more in {seconds:.1f} s"
        f" ({tally.sent / seconds:,.0f} a second){refused}{kept}",
        file=sys.stderr,
    )
    if interrupted:
        print("groundswell: interrupted; the same call goes on from there", file=sys.stderr)
        return 130
    return 0


def _reporter(stale: int, began: float) -> Callable[[Tally], None]:
    """Shows on a terminal how far it is."""
    shown = 0.0

    def report(tally: Tally) -> None:
        nonlocal shown
        now = time.monotonic()
        if not sys.stderr.isatty() or now - shown < 0.5:
            return
        shown = now
        done = tally.sent + tally.refused + tally.kept
        left = max(stale - done, 0) * (now - began) / max(done, 1)
        print(
            f"\r{done:,} of {stale:,} posts, {done / (now - began):,.0f} a second, {left / 60:.0f} min left ",
            end="",
            file=sys.stderr,
            flush=True,
        )

    return report
