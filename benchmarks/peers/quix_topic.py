"""Quix Streams with vaderSentiment, from a topic into a topic."""

from __future__ import annotations

import tempfile
from typing import Any

from quixstreams import Application
from sentiment import GROUP, INPUT, KAFKA, OUTPUT, sentiment

app = Application(
    broker_address=KAFKA,
    consumer_group=GROUP,
    auto_offset_reset="earliest",
    state_dir=tempfile.mkdtemp(prefix="peer-quix-"),
    producer_extra_config={"linger.ms": 5, "compression.type": "zstd"},
)
posts = app.topic(INPUT, key_deserializer="bytes", value_deserializer="json")
scored = app.topic(OUTPUT, key_serializer="bytes", value_serializer="json")


def score(post: dict[str, Any]) -> dict[str, Any]:
    """One post in, one scored post out."""
    return {"post": post, "sentiment": sentiment(post["text"])}


app.dataframe(posts).apply(score).to_topic(scored)

if __name__ == "__main__":
    app.run()
