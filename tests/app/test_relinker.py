"""The thread that links posts anew ends when it is told to, whatever it waits for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pipeline.app.brokers import Brokers
from pipeline.app.directory.posts import PostsReader
from pipeline.app.directory.relinker import Relinker, Ways
from pipeline.app.directory.settling import Settling
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer
from pipeline.identity.directory import Change, DirectoryReader, DirectoryWriter
from testkit.waiting import until

NOWHERE = Brokers("127.0.0.1:1")
LINKED = {
    "id": "x:1",
    "source": "x",
    "text": "hello",
    "author": {"id": "x:9"},
    "customer": {"id": "c1", "confidence": 1.0, "evidence": ["account id"]},
    "version": 0,
    "processed_at": "2026-11-22T10:00:00Z",
}


class OnePost:
    """Stands for a posts index with one post, which is linked to a customer who is gone."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def pages(self, _query: Mapping[str, Any]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        self.asked.set()
        yield [(0, LINKED)]


def test_it_ends_while_kafka_is_away(tmp_path: Path) -> None:
    writer = DirectoryWriter(tmp_path)
    writer.note_fresh(datetime.now(UTC))
    posts, producer = OnePost(), Producer(NOWHERE)
    health = Health("directory", Meters())
    ways = Ways(
        prepare=lambda: None,
        before=lambda _: {},
        is_past=lambda _: True,
        settling=lambda: cast(Settling, None),
        posts=cast(PostsReader, posts),
        directory=DirectoryReader(tmp_path),
        producer=producer,
        posts_topic="posts",
    )
    relinker = Relinker(ways, 60.0, Patience("elasticsearch", health, logging.getLogger()), health)
    relinker.start()
    work = relinker.submit([Change(0, 0, "c1", None)])
    until(posts.asked.is_set, why="it looks at the posts")
    ending = threading.Thread(target=relinker.end, daemon=True)
    ending.start()
    ending.join(60)
    assert not ending.is_alive(), "it waits for Kafka"
    assert relinker.over.result(0) is None
    assert not work.first.done() or work.first.exception(0) is not None
    writer.close()
