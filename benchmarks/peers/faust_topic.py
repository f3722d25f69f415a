"""Plain Faust with vaderSentiment, from a topic into a topic."""

from __future__ import annotations

import tempfile
from typing import Any

import faust
from sentiment import GROUP, INPUT, KAFKA, OUTPUT, sentiment

app = faust.App(
    GROUP,
    broker=f"kafka://{KAFKA}",
    datadir=tempfile.mkdtemp(prefix="peer-faust-"),
    value_serializer="json",
    web_enabled=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    producer_linger_ms=5,
    producer_max_batch_size=128 * 1024,
)
posts = app.topic(INPUT, key_type=bytes)
scored = app.topic(OUTPUT, key_type=bytes)


@app.agent(posts)
async def score(stream: Any) -> None:
    """One post in, one scored post out."""
    async for key, post in stream.items():
        await scored.send(key=key, value={"post": post, "sentiment": sentiment(post["text"])})


if __name__ == "__main__":
    app.main()
