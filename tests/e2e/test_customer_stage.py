"""The customers topic into a true Elasticsearch: by a worker, and batch by batch where order is the point."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Struct

from pipeline.app.batch_driver import Keeper, RecordBatch, Standing
from pipeline.app.customers.stage import KIND, CustomerStage, put_of
from pipeline.app.health import Health
from pipeline.app.log_reader import read_topic
from pipeline.app.meters import Meters
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import Topics, ensure_topics
from pipeline.app.worker import Role, Worker
from pipeline.core.customer import Account, Customer, encode_customer
from pipeline.core.ledger import Lane
from pipeline.core.rejection import Rejection, decode_rejection
from sinks.elastic import client_for
from sinks.store import Found, Store
from testkit.elastic_proxy import Answer, Proxy
from testkit.installation import Installation
from testkit.waiting import until

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Fetched(Struct):
    """A record as aiokafka gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def fetched(offset: int, key: str, value: Customer | bytes | None) -> Fetched:
    raw = encode_customer(value) if isinstance(value, Customer) else value
    return Fetched("customers", 0, offset, 1795000000000 + offset, key.encode(), raw)


class Made(Struct):
    """A stage with what it stands on."""

    stage: CustomerStage
    store: Store
    health: Health
    topics: Topics
    installation: Installation

    def docs(self, *ids: str) -> dict[str, Found]:
        return self.store.get(ids)

    def rejections(self) -> list[Rejection]:
        """What was set aside."""
        portions = read_topic(self.installation.kafka, self.topics.rejected.name)
        return [decode_rejection(record.value) for portion in portions for record in portion if record.value]


@pytest.fixture
def made(installation: Installation) -> Iterator[Made]:
    topics = ensure_topics(installation.kafka, installation.settings.kafka)
    health = Health("directory", Meters())
    store = Store(installation.client, installation.settings.elasticsearch, KIND)
    store.prepare()
    producer = Producer(installation.kafka)
    patience = Patience("elasticsearch", health, logging.getLogger("groundswell.test"))
    stage = CustomerStage(store, producer, topics, lambda: NOW, patience)
    yield Made(stage, store, health, topics, installation)
    stage.close()
    producer.close()
    store.drop()


ANN = Customer(
    id="c-1",
    name="<b>Ann</b>",
    emails=("ann@x.org",),
    phones=("+12025550104",),
    accounts=(Account("x", "ann_b", "x:5"),),
    segment="vip",
    value=1056.5,
    since=datetime(2021, 3, 15).date(),
    consent=False,
)


def test_a_customer_comes_and_goes_in_the_order_of_the_log(made: Made) -> None:
    assert made.stage.write([fetched(0, "c-1", ANN), fetched(1, "c-2", Customer(id="c-2"))]) == (2, 0)
    found = made.docs("c-1", "c-2")
    assert found["c-1"].version == 1
    assert found["c-1"].source == {
        "id": "c-1",
        "name": "<b>Ann</b>",
        "emails": ["ann@x.org"],
        "phones": ["+12025550104"],
        "accounts": [{"source": "x", "handle": "ann_b", "id": "x:5"}],
        "segment": "vip",
        "value": 1056.5,
        "since": "2021-03-15",
        "consent": False,
        "updated_at": "2026-11-18T11:06:40Z",
    }
    changed = Customer(id="c-1", name="Ann B")
    batch = [fetched(2, "c-1", None), fetched(3, "c-1", changed), fetched(4, "c-2", None)]
    for _ in range(2):
        assert made.stage.write(batch) == (3, 0)
        assert list(made.docs("c-1", "c-2")) == ["c-1"]
        assert made.docs("c-1")["c-1"].source["name"] == "Ann B"
        assert made.docs("c-1")["c-1"].version == 4
    # An older record that is read again loses against the newer state, and against the deletion.
    made.stage.write([fetched(0, "c-1", ANN), fetched(1, "c-2", Customer(id="c-2"))])
    assert made.docs("c-1", "c-2")["c-1"].version == 4
    assert "c-2" not in made.docs("c-2")


def test_a_deletion_that_the_server_forgot_is_applied_again(made: Made) -> None:
    made.installation.client.indices.put_settings(index=made.store.index, settings={"index.gc_deletes": "0s"})
    log = [fetched(0, "c-1", ANN), fetched(1, "c-1", None), fetched(2, "c-2", Customer(id="c-2"))]
    for record in log:
        made.stage.write([record])
    assert made.docs("c-1") == {}

    def forgotten() -> bool:
        made.installation.client.indices.refresh(index=made.store.index)
        made.stage.write(log[:1])
        return "c-1" in made.docs("c-1")

    until(forgotten, why="the server forgets the deletion, and the older record rises again")
    made.stage.write(log[1:])
    assert list(made.docs("c-1", "c-2")) == ["c-2"], "the deletion stands behind it in the log"


def test_what_cannot_be_read_is_set_aside_and_the_rest_goes_on(made: Made) -> None:
    records = [
        fetched(0, "c-1", b"{"),
        fetched(1, "c-1", b'{"id":"c-1","schema":2}'),
        fetched(2, "c-2", ANN),
        fetched(3, "x" * 513, None),
        Fetched("customers", 0, 4, 1, b"\xff", None),
        Fetched("customers", 0, 5, 1, None, b"{}"),
        fetched(6, "c-1", ANN),
    ]
    assert made.stage.write(records) == (1, 6)
    assert list(made.docs("c-1", "c-2")) == ["c-1"]
    refused = {one.origin: one for one in made.rejections()}
    assert {one.stage for one in refused.values()} == {"directory"}
    assert len(refused) == 6
    assert "upgrade" in refused["customers-0-1"].error
    assert "key is not the customer's id" in refused["customers-0-2"].error
    listed = made.installation.command("rejected", "list", "--stage", "directory", "--format", "csv")
    assert listed.stdout.count(b"\n") == 7
    again = made.installation.command("rejected", "replay", "--stage", "directory")
    assert again.returncode == 1
    assert b"import it again" in again.stderr
    ledger, findings = made.installation.audit()
    assert (ledger.records, findings) == (0, [])


def test_large_records_go_in_portions(made: Made) -> None:
    big = [fetched(n, f"c-{n}", Customer(id=f"c-{n}", name="x" * 3_000_000)) for n in range(4)]
    assert made.stage.write(big) == (4, 0)
    assert len(made.docs(*(f"c-{n}" for n in range(4)))) == 4


async def work(made: Made, done: Callable[[], bool]) -> None:
    """A worker with this stage until ``done``."""
    installation = made.installation
    worker = Worker(
        Role("directory", f"{installation.prefix}-directory"),
        {made.topics.customers.name: made.stage},
        settings=installation.settings,
        brokers=installation.kafka,
        state=made.health,
        home=installation.home,
    )
    stop = asyncio.Event()
    running = asyncio.ensure_future(worker.run(stop))
    await asyncio.to_thread(until, lambda: running.done() or done(), 60, "the index holds the log")
    stop.set()
    await running


def test_a_worker_brings_the_topic_into_the_index(made: Made) -> None:
    producer = Producer(made.installation.kafka)
    name = made.topics.customers.name
    count = 3000
    customers = [Customer(id=f"c-{n}", name=f"Name {n}") for n in range(count)]
    producer.deliver([Record(name, one.id.encode(), encode_customer(one)) for one in customers])
    producer.deliver([Record(name, b"c-7", None), Record(name, b"c-8", b"no customer")])
    producer.close()

    def there() -> bool:
        made.store.refresh()
        number: Any = made.installation.client.count(index=made.store.index)
        return number["count"] == count - 1 and len(made.rejections()) == 1

    asyncio.run(work(made, there))
    assert made.docs("c-7", "c-8")["c-8"].source["name"] == "Name 8"


class Taken(Keeper):
    """Its partition is another's once it is taken away."""

    lost = False

    def standing(self, _batch: RecordBatch) -> Standing:
        return "lost" if self.lost else "held"


def test_who_was_removed_meanwhile_does_not_come_back(made: Made, installation: Installation) -> None:
    """One that was frozen, or waited for Elasticsearch, goes on when another has removed the customer, for
    longer than Elasticsearch remembers versions of what was deleted."""
    records: list[Any] = [fetched(0, "c-1", ANN)]
    lane, keeper, proxy = Lane(), Taken(), Proxy(made.store.client.transport.node_pool.all()[0].base_url)
    batch = RecordBatch(made.topics.customers.name, 0, records, lane, lane.begin(0, 1), keeper)
    made.store.client.indices.put_settings(index=made.store.index, settings={"index.gc_deletes": "0s"})

    def away(path: str, _: bytes) -> Answer | None:
        if "_bulk" not in path:
            return None
        proxy.behaviour = lambda *_: None
        made.store.put([put_of(fetched(0, "c-1", ANN)), put_of(fetched(1, "c-1", None))])
        made.store.refresh()
        keeper.lost = True
        return Answer(503)

    proxy.behaviour = away
    settings = installation.settings.elasticsearch
    client = client_for(settings, proxy.url)
    patience = Patience("elasticsearch", made.health, logging.getLogger("groundswell.test"))
    producer = Producer(installation.kafka)
    late = CustomerStage(Store(client, settings, KIND), producer, made.topics, lambda: NOW, patience)

    async def run() -> None:
        await asyncio.wait_for(await late.begin(batch), 30)

    try:
        asyncio.run(run())
    finally:
        late.close()
        producer.close()
        client.close()
        proxy.close()
    assert keeper.lost
    assert made.docs("c-1") == {}
