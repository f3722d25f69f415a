"""What routing costs a post, and how that grows from 10 rules to 1,000: ``python benchmarks/routing.py``.

Every rule is of one of five shapes that support leads write: a category and a probability, a brand
and a mood, a channel and a word of the text, a customer segment and an urgency, a phrase alone. Posts
are the demo's; what enrichers would find is drawn from a fixed seed. Best of five.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from enrichers._regex import compile_search
from enrichers.route import RouteEnricher
from pipeline.core.errors import RejectedError
from pipeline.core.event import Complaint, CustomerLink, Entity, Sentiment
from pipeline.core.post import Post, decode_post
from pipeline.core.routing import Router
from pipeline.core.routing_file import read_routing

POSTS = 20_000
COUNTS = (10, 100, 1000)
CATEGORIES = ("outage", "billing", "delivery", "quality", "service", "account", "cancellation", "price")


def rules(count: int, mode: str) -> bytes:
    """A file of so many rules. Each looks for something of its own, as rules of a real team do."""
    shapes = (
        'complaint.category = "{category}{team}" and complaint.probability >= 0.{tenth}',
        'entities.id = "brand:b{n}" and sentiment.compound < -0.{tenth}',
        'source = "x" and text contains "wort{n}" and complaint.probability >= 0.{tenth}',
        'customer.segment = "s{n}" and complaint.urgency >= 0.{tenth}',
        'text contains any of ("phrase{n} one", "other{n} words", "third{n}")',
    )
    lines = [f'mode = "{mode}"', 'default = "general"', "[queues.general]", "[queues.care]"]
    for n in range(count):
        team = n // 5 // len(CATEGORIES)
        when = shapes[n % 5].format(
            category=CATEGORIES[n // 5 % len(CATEGORIES)], team=team or "", n=n, tenth=5 + n % 5
        )
        lines += ["[[rules]]", f'id = "r{n}"', 'queue = "care"', f"when = '{when}'"]
    return "\n".join(lines).encode()


def columns() -> dict[str, list[Any]]:
    """A batch of posts with what enrichers might have found."""
    draw = random.Random(7)
    found: list[Post] = []
    for line in files("configs").joinpath("demo/posts.jsonl").read_bytes().splitlines():
        try:
            found.append(decode_post(line))
        except RejectedError:
            continue
    posts = [found[i % len(found)] for i in range(POSTS)]
    brands = [
        (Entity(f"brand:b{draw.randrange(40)}", "B", "brand", "b", 0, 1),) if draw.random() < 0.7 else ()
        for _ in posts
    ]
    return {
        "post": posts,
        "entities": brands,
        "sentiment": [Sentiment(draw.uniform(-1, 1), "neutral", 0.0, 1.0, 0.0) for _ in posts],
        "complaint": [
            Complaint(draw.random(), draw.random() < 0.4, draw.choice(CATEGORIES), draw.random())
            for _ in posts
        ],
        "customer": [
            CustomerLink("c", 0.9, segment=f"s{draw.randrange(20)}") if draw.random() < 0.4 else None
            for _ in posts
        ],
    }


def microseconds(router: Router, batch: dict[str, list[Any]], repeats: Sequence[int]) -> float:
    """Best time a post over the repeats."""
    times, step = [], RouteEnricher(router)
    for _ in repeats:
        began = time.process_time()
        step.enrich(batch)
        times.append(time.process_time() - began)
    return min(times) / POSTS * 1e6


def main() -> None:
    """Prints one JSON object: microseconds a post by mode and number of rules, and the ratio."""
    batch = columns()
    told: dict[str, Any] = {}
    for mode in ("first", "all"):
        cost = {
            count: microseconds(read_routing(rules(count, mode), "bench", compile_search), batch, range(5))
            for count in COUNTS
        }
        told[mode] = {f"us_at_{count}": round(cost[count], 2) for count in COUNTS}
        told[mode]["ratio_1000_to_10"] = round(cost[1000] / cost[10], 2)
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
