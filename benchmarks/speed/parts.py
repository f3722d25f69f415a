"""Where the chain's time goes: CPU microseconds a post of each part, and how many of it vaderSentiment alone
takes on the same texts.

``.venv/bin/python benchmarks/speed/parts.py``; no server. Each round does every part once on freshly decoded
posts, and the best of the rounds counts, so that what else the machine does meets all alike. The first round
meets every word for the first time; with ``--rounds 1`` that is what is told.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import load, processor
from ours import write_settings
from page import ALONE, parts_of, put
from posts import SOURCE, customers, lines_of, posts
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from pipeline.app import garbage
from pipeline.app.registry import build_chain
from pipeline.core.configuration import read_settings
from pipeline.core.customer import Account, Customer
from pipeline.core.event import encode_event
from pipeline.core.post import decode_post
from pipeline.core.process import Chain
from pipeline.core.reading import Columns, Vocabulary, reading_of
from pipeline.identity.directory import FOLDER, Change, DirectoryWriter


class Clock:
    """The least CPU time of each part."""

    def __init__(self) -> None:
        self.least: dict[str, float] = {}

    def time(self, part: str, work: Callable[[], Any]) -> Any:
        """What the work returns."""
        began = time.process_time()
        found = work()
        self.least[part] = min(self.least.get(part, float("inf")), time.process_time() - began)
        return found


def main() -> None:
    """Prints one line a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--markdown", action="store_true", help="the table as docs/performance.md has it")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="put that into this page")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = _measure(Path(folder), args.posts, args.rounds)
    if args.markdown or args.into:
        where = f"{processor()}, Python {platform.python_version()}, load {load()}"
        what = f"{args.posts:,} posts of {SOURCE}; {where}; best of {args.rounds}"
        put(parts_of(parts, what), "parts", args.into)
        return
    alone = parts[ALONE]
    for part, micros in parts.items():
        print(f"{part:24}{micros:8.2f} µs{alone / micros:8.2f} ×")


def _measure(home: Path, count: int, rounds: int) -> dict[str, float]:
    """Microseconds a post of each part."""
    settings = read_settings(write_settings(home), {})
    found = posts(count)
    chain = build_chain(settings, _with_customers(home))
    lines, clock, vocabulary = lines_of(found), Clock(), chain.vocabulary
    scores = SentimentIntensityAnalyzer().polarity_scores
    garbage.settle()
    for _ in range(rounds):
        texts = _round(clock, chain, lines, vocabulary)
        clock.time(ALONE, lambda texts=texts: [scores(text) for text in texts])
    return {part: seconds / len(lines) * 1e6 for part, seconds in clock.least.items()}


def _with_customers(home: Path) -> Path:
    """The home with the directory of the benchmark's customers, as the role `directory` would build it."""
    writer = DirectoryWriter(home / FOLDER)
    known = [
        Customer(
            id=row["customer_id"],
            emails=(row["email"],),
            phones=(row["phone"],),
            accounts=tuple(Account(**account) for account in row["accounts"]),
            segment=row["segment"],
            value=float(row["value"]),
        )
        for row in customers()
    ]
    writer.apply([Change(0, number, one.id, one) for number, one in enumerate(known)])
    writer.note_fresh(datetime.now(UTC))
    writer.close()
    return home


def _round(clock: Clock, chain: Chain, lines: list[bytes], vocabulary: Vocabulary) -> list[str]:
    found = clock.time("decode", lambda: [decode_post(line) for line in lines])
    now = datetime.now(UTC)
    columns = Columns({"post": found, "observed": [now] * len(found)}, vocabulary)
    clock.time("reading", lambda: reading_of(columns))
    for name, step in chain.steps:
        columns[step.assigns] = clock.time(name, lambda step=step: step.enrich(columns))

    def whole() -> list[Any]:
        return chain.process(found, [now] * len(found), prefix="bench", now=now)

    events = clock.time("whole chain", whole)
    clock.time("encode", lambda: [encode_event(event) for event in events])
    return [post.text for post in found]


if __name__ == "__main__":
    main()
