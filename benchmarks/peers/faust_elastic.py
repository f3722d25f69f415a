"""Plain Faust with vaderSentiment, from a topic into Elasticsearch, in batches of `stream.take`."""

from __future__ import annotations

import tempfile
from typing import Any

import faust
from elasticsearch import AsyncElasticsearch, OrjsonSerializer
from elasticsearch.helpers import async_bulk
from sentiment import ELASTICSEARCH, GROUP, INPUT, KAFKA, OUTPUT, document

app = faust.App(
    GROUP,
    broker=f"kafka://{KAFKA}",
    datadir=tempfile.mkdtemp(prefix="peer-faust-"),
    value_serializer="json",
    web_enabled=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
)
posts = app.topic(INPUT, key_type=bytes)


@app.agent(posts)
async def index(stream: Any) -> None:
    """A thousand posts a bulk request."""
    async with AsyncElasticsearch(ELASTICSEARCH, serializer=OrjsonSerializer()) as client:
        async for batch in stream.take(1000, within=0.2):
            actions = ({"_index": OUTPUT, "_id": post["id"], "_source": document(post)} for post in batch)
            await async_bulk(client, actions, chunk_size=1000)


if __name__ == "__main__":
    app.main()
