"""A loop by hand over confluent-kafka with vaderSentiment, from a topic into Elasticsearch."""

from __future__ import annotations

import signal

import orjson
from confluent_kafka import Consumer, KafkaException
from elasticsearch import Elasticsearch, OrjsonSerializer
from elasticsearch.helpers import bulk
from sentiment import ELASTICSEARCH, GROUP, INPUT, KAFKA, OUTPUT, document


def main() -> None:
    """Runs until SIGTERM. Offsets are committed once Elasticsearch has taken the batch."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    consumer = Consumer(
        {
            "bootstrap.servers": KAFKA,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([INPUT])
    client = Elasticsearch(ELASTICSEARCH, serializer=OrjsonSerializer())
    while not stopping:
        messages = consumer.consume(1000, timeout=0.2)
        posts = []
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            posts.append(orjson.loads(message.value()))
        if posts:
            actions = ({"_index": OUTPUT, "_id": post["id"], "_source": document(post)} for post in posts)
            bulk(client, actions, chunk_size=1000)
            consumer.commit(asynchronous=True)
    consumer.close()
    client.close()


if __name__ == "__main__":
    main()
