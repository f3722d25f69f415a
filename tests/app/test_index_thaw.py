"""An index worker that was frozen opens no case for what somebody else knows to be over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from msgspec import structs

from pipeline.app.authors.marks import AuthorMarks
from pipeline.app.batch_driver import Keeper, RecordBatch, Standing
from pipeline.app.brokers import Brokers
from pipeline.app.cases.keeper import CaseKeeper
from pipeline.app.health import Health
from pipeline.app.index_stage import IndexStage
from pipeline.app.log_reader import LogRecord
from pipeline.app.meters import Meters
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer
from pipeline.app.site import now
from pipeline.app.topics import ensure_topics
from pipeline.core.event import Event, encode_event
from pipeline.core.index_name import undated
from pipeline.core.ledger import Lane
from pipeline.core.settings import ElasticsearchSettings, KafkaSettings
from sinks.cases import Cases
from sinks.elastic import build
from testkit.cases import event, minutes, route
from testkit.elastic_proxy import Proxy

COMPLAINT = event("x:1", [route("repairs")])
OVER = {
    "deleted": event("x:1", deleted=True),
    "edited": event("x:1", at=1, edited_at=minutes(1)),
}


class Frozen(Keeper):
    """Its partition is its own until it is taken away."""

    lost = False

    def __init__(self) -> None:
        self.left: list[Standing] = ["unknown"]

    def standing(self, _batch: RecordBatch) -> Standing:
        if not self.lost:
            return "held"
        return self.left.pop() if self.left else "lost"


@pytest.fixture
def cases(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Cases:
    found = Cases(client, elastic_settings)
    found.prepare()
    found.finish()
    return found


@pytest.fixture
def work(
    kafka: str, prefix: str, cases: Cases, elastic_settings: ElasticsearchSettings
) -> Callable[[Frozen, Proxy, Sequence[Event]], None]:
    """Has an index stage write a batch through a proxy and see it through."""

    def work(keeper: Frozen, proxy: Proxy, events: Sequence[Event]) -> None:
        settings = KafkaSettings(bootstrap=kafka, prefix=prefix, partitions=1)
        brokers = Brokers(kafka, settings)
        topics = ensure_topics(brokers, settings)
        producer = Producer(brokers)
        sink = build(elastic_settings, proxy.url)
        stage = IndexStage(
            sink,
            producer,
            topics,
            now,
            Patience("elasticsearch", Health("index", Meters()), logging.getLogger("test")),
            marks=AuthorMarks(topics.authors.name, sink.authors),
            room=100,
            then=[keeper_of(cases).follow],
        )
        lane = Lane()
        records: list[Any] = [
            LogRecord(0, offset, 0, one.post.id.encode(), encode_event(one))
            for offset, one in enumerate(events)
        ]
        batch = RecordBatch(topics.events.name, 0, records, lane, lane.begin(0, len(events)), keeper)

        async def run() -> None:
            await asyncio.wait_for(await stage.begin(batch), 30)

        asyncio.run(run())
        stage.close()
        sink.close()
        producer.close()

    return work


def keeper_of(cases: Cases) -> CaseKeeper:
    return CaseKeeper(cases, lambda _: None, lambda: pytest.fail("the index was ready"))


@pytest.mark.parametrize("over", sorted(OVER))
def test_a_case_that_is_over_is_not_opened_late(
    over: str, work: Any, cases: Cases, elastic_settings: ElasticsearchSettings
) -> None:
    """The one who took over has read the complaint and its end in one batch, and so has opened no case."""
    index = undated(elastic_settings.prefix)
    complaint, end = (structs.replace(one, index=index) for one in (COMPLAINT, OVER[over]))
    proxy, keeper = Proxy(elastic_settings.url), Frozen()

    def freeze(path: str, _: bytes) -> None:
        if path.startswith("/_bulk?filter_path=errors"):
            proxy.behaviour = lambda *_: None
            other = build(elastic_settings, elastic_settings.url)
            other.write([complaint, end])
            keeper_of(cases).follow([complaint, end])
            other.close()
            keeper.lost = True

    proxy.behaviour = freeze
    try:
        work(keeper, proxy, [complaint])
    finally:
        proxy.close()
    assert keeper.lost
    cases.store.refresh()
    assert [held.case for held in cases.all()] == []


def test_a_case_of_a_partition_that_stays_ours_is_opened(
    work: Any, cases: Cases, elastic_settings: ElasticsearchSettings
) -> None:
    complaint = structs.replace(COMPLAINT, index=undated(elastic_settings.prefix))
    proxy = Proxy(elastic_settings.url)
    try:
        work(Frozen(), proxy, [complaint])
    finally:
        proxy.close()
    cases.store.refresh()
    assert [held.case.queue for held in cases.all()] == ["repairs"]
