"""The input of all contestants: real posts, repeated under new ids until there are enough."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from pipeline.app.brokers import Brokers
from pipeline.app.producer import Producer, Record
from testkit.shared import replay_posts, shared_folder


def posts(count: int) -> list[dict[str, Any]]:
    """So many posts with different ids: of the shared replay, or of the demo where that is not here."""
    shared = shared_folder(Path(__file__))
    if shared is not None:
        found = replay_posts(shared, min(count, 56_248))
    else:
        lines = (files("configs") / "demo" / "posts.jsonl").read_text(encoding="utf-8").splitlines()
        # Neither edits, nor deletions, nor bad lines: the peers know none of them.
        whole = {p["id"]: p for p in map(json.loads, lines) if p.get("text") and "edited_at" not in p}
        found = list(whole.values())
    rounds = -(-count // len(found))
    return [{**p, "id": f"{p['id']}.{n}" if n else p["id"]} for n in range(rounds) for p in found][:count]


def varied(count: int) -> list[dict[str, Any]]:
    """So many posts, each with a word of its own, and each copy by another author: what remembers words and
    authors would else look better than it is."""
    found = posts(count)
    distinct = len({post["id"].rpartition(".")[0] or post["id"] for post in found})
    for at, post in enumerate(found):
        author = dict(post["author"])
        if copy := at // distinct:
            author |= {key: f"{author[key]}_{copy}" for key in ("id", "handle") if key in author}
        found[at] = {**post, "author": author, "text": f"{post['text']} w{at:x}"}
    return found


def lines_of(found: list[dict[str, Any]]) -> list[bytes]:
    """Each post as JSON."""
    return [msgspec.json.encode(post) for post in found]


def load(kafka: Brokers, topic: str, ids: list[str], lines: list[bytes]) -> None:
    """Puts all posts into the topic, each id into its partition, and waits until Kafka has them."""
    producer = Producer(kafka, client_id="benchmark")
    records = [Record(topic, id.encode(), line) for id, line in zip(ids, lines, strict=True)]
    for at in range(0, len(records), 10_000):
        producer.deliver(records[at : at + 10_000])
    producer.close()
