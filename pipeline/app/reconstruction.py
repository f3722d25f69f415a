"""All indices anew from the log: posts, cases, customers, and the memory of authors.

What each of them is made of is the business of its own module; here is only the order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import Struct

from pipeline.app.authors.memory import AuthorMemory
from pipeline.app.brokers import Brokers
from pipeline.app.cases import journal as case_journal
from pipeline.app.cases.keeper import CaseKeeper
from pipeline.app.customers import stage as customer_stage
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer
from pipeline.app.rebuild import Rebuilt, rebuild
from pipeline.app.site import now
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.settings import Settings
from sinks import elastic
from sinks.cases import Cases
from sinks.elastic import ElasticSink
from sinks.store import Put, Store


class Log(NamedTuple):
    """The log of an installation, to read and to append to."""

    brokers: Brokers
    topics: Topics
    producer: Producer


class Reconstructed(Struct, frozen=True):
    """How many of each the indices hold by it; ``refused`` are events that the index did not take."""

    events: int
    refused: int
    cases: int
    customers: int
    authors: int


def reconstruct(  # noqa: PLR0913 - what from, what to, and how much of it
    log: Log,
    sink: ElasticSink,
    settings: Settings,
    report: Callable[[Rebuilt], None],
    *,
    keep: bool,
    start: Mapping[int, int] | None = None,
) -> Reconstructed:
    """Drops the indices unless ``keep``, and writes them from the log; ``report`` hears of the events, which
    are read from ``start`` by partition where it is given.

    Raises FatalError when the log holds what no Groundswell wrote, RetryableError when a server is away.
    """
    brokers, topics, producer = log
    cases = Cases(sink.client, settings.elasticsearch)
    journal = case_journal.journal_to(producer, topics)
    if keep:
        case_journal.complete(brokers, topics, cases, journal)
    else:
        case_journal.drop(brokers, topics, cases, journal)
        elastic.drop(sink.client, settings.elasticsearch.prefix)

    def restore() -> int:
        return case_journal.restore(brokers, topics, cases)

    brought = restore()
    keeper = CaseKeeper(cases, journal, restore)
    expiry = settings.expiry(now())
    done = rebuild(brokers, topics.events.name, sink, report, keeper.follow, expiry=expiry, start=start)
    # So that the next question already sees all of it.
    sink.client.indices.refresh(index=f"{settings.elasticsearch.prefix}-posts-*")
    cases.store.refresh()
    store = Store(sink.client, settings.elasticsearch, customer_stage.KIND)
    customers = _customers(log, store, keep=keep)
    authors = AuthorMemory(sink.client, settings.elasticsearch, now).reckon_all()
    return Reconstructed(done.written, done.refused, brought, customers, authors)


def _customers(log: Log, store: Store, *, keep: bool) -> int:
    """The index of customers from their topic; how many there are."""
    if not keep:
        # Not only for tidiness: in a topic that was made anew the offsets, and so the versions, are lower.
        store.drop()
    store.prepare()
    there: set[str] = set()
    for portion in read_topic(log.brokers, log.topics.customers.name):
        puts: dict[str, Put] = {}
        for record in portion:
            try:
                put = customer_stage.put_of(record)
            except RejectedError:
                continue  # the role `directory` has set it aside
            puts[put.id] = put
            (there.discard if put.source is None else there.add)(put.id)
        store.put(list(puts.values()))
    store.refresh()
    return len(there)
