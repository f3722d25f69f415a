"""A post that is linked anew comes to the queue for its customer, and to no other that is new to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from enrichers.route import RouteEnricher
from pipeline.app.enrich_stage import EnrichStage
from pipeline.app.log_reader import LogRecord
from pipeline.app.topics import topics_of
from pipeline.core.event import CustomerLink, decode_event
from pipeline.core.headers import again
from pipeline.core.newest import Newest
from pipeline.core.process import Chain
from pipeline.core.rerouting import Before
from pipeline.core.settings import KafkaSettings
from testkit.routing import router_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOPICS = topics_of(KafkaSettings())


class Golden:
    """Takes everybody for a customer of the best kind."""

    requires = ("post",)
    assigns = "customer"
    version = "golden-1"

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[CustomerLink]:
        return [CustomerLink("c1", 0.9, segment="gold") for _ in columns["post"]]


def test_it_comes_to_the_queue_for_its_customer_and_not_to_that_of_another_new_rule() -> None:
    router = router_of('customer.segment = "gold"', 'text contains "fire"', head='mode = "all"')
    stage = EnrichStage(
        Chain([("golden", Golden()), ("route", RouteEnricher(router))]),
        None,  # type: ignore[arg-type]
        TOPICS,
        prefix="p",
        clock=lambda: NOW,
        load=lambda _: Newest(),
    )
    sent = again(1, {}, Before((), held=True, by_customer=True))
    headers = tuple((name, value.encode()) for name, value in sent)
    post = {"id": "x:1", "text": "fire", "author": {"id": "x:a"}}
    at = int(NOW.timestamp() * 1000)
    record = LogRecord(0, 0, at, b"x:1", json.dumps(post).encode(), headers)
    records, _ = stage.results([record], Newest())
    (event,) = (decode_event(one.value or b"") for one in records if one.topic == TOPICS.events.name)
    assert [route.rule for route in event.routes] == ["r0"]
    assert event.versions["route"] == f"{router.version}.held", "--new-cases would bring it to the other"
    assert [one.topic for one in records if ".queue." in one.topic] == ["groundswell.queue.q0"]
