"""What the names of a brands file cost a post, and how that grows from 100 aliases to 100,000.

``python benchmarks/aliases.py [POSTS]``. Two kinds of names: such as no post says, as most of a real
file's are not said by most posts, and, the worst case, pairs of words taken from the posts themselves, so
that nearly every word of every text begins some name. Tells CPU microseconds a post of the step `entities`
and of the whole chain, best of the rounds, all chains turn by turn, and the seconds that each took to build.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "speed"))

from ours import FILES, unsaid, write_settings
from posts import lines_of, posts

from pipeline.app import garbage
from pipeline.app.registry import build_chain
from pipeline.core.configuration import read_settings
from pipeline.core.post import decode_post
from pipeline.core.process import Chain
from pipeline.core.reading import Columns
from pipeline.core.stop_words import STOP_WORDS

FEW, MANY = 100, 100_000
ROUNDS = 5
BATCH = 1000


def said(texts: Iterable[str]) -> Iterator[str]:
    """Pairs of words of the texts, without end."""
    # Not those of the file's own names: one alias must not name two.
    taken = STOP_WORDS | set(re.findall("[a-z]+", (FILES / "brands.toml").read_text("utf-8").lower()))
    words = sorted({w for text in texts for w in re.findall("[a-z]{4,12}", text.lower())} - taken)
    draw, seen = random.Random(7), set()
    while True:
        pair = draw.choice(words), draw.choice(words)
        if "".join(pair) not in seen:
            seen.add("".join(pair))
            yield " ".join(pair).title()


def built(names: Iterable[str], count: int) -> tuple[Chain, float]:
    """The chain with so many aliases, and the CPU seconds that building it took."""
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(write_settings(Path(folder), aliases=count, names=names), {})
        began = time.process_time()
        return build_chain(settings), time.process_time() - began


def cost(chain: Chain, lines: list[bytes]) -> dict[str, float]:
    """CPU seconds of the step and of the whole chain over all posts."""
    step, now = dict(chain.steps)["entities"], datetime.now(UTC)
    portions = [[decode_post(line) for line in lines[at : at + BATCH]] for at in range(0, len(lines), BATCH)]
    began = time.process_time()
    for portion in portions:
        chain.process(portion, [now] * len(portion), prefix="bench", now=now)
    whole = time.process_time() - began
    columns = [Columns({"post": portion}, chain.vocabulary) for portion in portions]
    for one in columns:
        _ = one.reading  # shared by all steps
    began = time.process_time()
    for one in columns:
        step.enrich(one)
    return {"step": time.process_time() - began, "chain": whole}


def main() -> None:
    """Prints one JSON object."""
    found = posts(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    lines = lines_of(found)
    told: dict[str, dict[str, Any]] = {"unsaid": {}, "said": {}}
    chains: list[tuple[dict[str, Any], Chain]] = []
    for kind, names in (("unsaid", unsaid), ("said", lambda: said(post["text"] for post in found))):
        for count in (FEW, MANY):
            chain, seconds = built(names(), count)
            told[kind][f"at_{count}"] = figures = {"build_s": round(seconds, 2)}
            chains.append((figures, chain))
    garbage.settle()
    for number in range(ROUNDS + 1):
        for figures, chain in chains:
            for part, seconds in cost(chain, lines).items():
                if number:  # in the first round all words are met for the first time
                    spent = round(seconds / len(lines) * 1e6, 2)
                    figures[f"us_{part}"] = min(figures.get(f"us_{part}", spent), spent)
    for kind in told.values():
        few, many = kind[f"at_{FEW}"], kind[f"at_{MANY}"]
        kind["ratio"] = {part: round(many[part] / few[part], 2) for part in ("us_step", "us_chain")}
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
