"""The input of all contestants: real posts, and where these are too few, the same again by other people."""

from __future__ import annotations

import json
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from ours import CUSTOMERS, OWN_AUTHORS

from pipeline.app.brokers import Brokers
from pipeline.app.producer import Producer, Record
from testkit.books import customers_among
from testkit.shared import replay_posts, shared_folder

SOURCE = "the shared replay" if shared_folder(Path(__file__)) else "the demo"
"""Whose posts these are."""


def posts(count: int) -> list[dict[str, Any]]:
    """So many posts with different ids, evenly from all at hand.

    Where there are fewer, all come again under new ids, in threads of their own, by people of their own: else
    conversations and authors would grow as no real ones do. Customers and our own accounts stay who they are,
    and each time as many posts are theirs.
    """
    found = _at_hand()
    if count <= len(found):
        return [found[at * len(found) // count] for at in range(count)]
    kept = OWN_AUTHORS | accounts(customers_of(found))
    rounds = -(-count // len(found))
    return [_again(post, number, kept) for number in range(rounds) for post in found][:count]


def customers() -> list[dict[str, Any]]:
    """Rows for `customer import`, always the same: half of them wrote posts."""
    return customers_of(_at_hand())


def customers_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, where these posts are all at hand. Of few authors at most a ninth are customers."""
    authors = list(dict.fromkeys(post["author"]["id"] for post in found))
    return customers_among(found, CUSTOMERS, OWN_AUTHORS.union(authors[len(authors) // 9 :]))


def accounts(rows: list[dict[str, Any]]) -> frozenset[str]:
    """The customers' ids as authors."""
    return frozenset(account["id"] for row in rows for account in row["accounts"])


def varied(count: int) -> list[dict[str, Any]]:
    """So many posts, each with a word of its own: what remembers words would else look better than it is."""
    return [{**post, "text": f"{post['text']} w{at:x}"} for at, post in enumerate(posts(count))]


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


def _at_hand() -> list[dict[str, Any]]:
    shared = shared_folder(Path(__file__))
    if shared is not None:
        return replay_posts(shared)
    lines = (files("configs") / "demo" / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    # Neither edits, nor deletions, nor bad lines: the peers know none of them.
    whole = {p["id"]: p for p in map(json.loads, lines) if p.get("text") and "edited_at" not in p}
    return list(whole.values())


def _again(post: dict[str, Any], number: int, kept: Collection[str]) -> dict[str, Any]:
    if not number:
        return post
    own = ("id", "in_reply_to", "thread")
    new: dict[str, Any] = {name: f"{post[name]}.{number}" for name in own if post.get(name)}
    author = post["author"]
    if author["id"] not in kept and author.get("handle") not in kept:
        other = {name: f"{author[name]}_{number}" for name in ("id", "handle") if author.get(name)}
        new["author"] = {**author, **other}
    return {**post, **new}
