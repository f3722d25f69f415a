"""What each role of the daemon is made of, from the settings to a running process.

The only place that knows how the parts fit together; the parts do not know each other.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from pipeline.app import amends, garbage, health, index_stage
from pipeline.app.authors import stage as author_stage
from pipeline.app.authors.marks import AuthorMarks
from pipeline.app.authors.memory import AuthorMemory
from pipeline.app.cases.counting import CaseCounts
from pipeline.app.cases.journal import journal_to, restore
from pipeline.app.cases.keeper import CaseKeeper
from pipeline.app.cases.listing import CaseList
from pipeline.app.cases.notices import queues_of
from pipeline.app.changes import load
from pipeline.app.collectors import Collectors
from pipeline.app.configuration import elasticsearch_url
from pipeline.app.cursors import CursorStore
from pipeline.app.customers import stage as customer_stage
from pipeline.app.directory.builder import DirectoryBuilder
from pipeline.app.directory.changes import customers_of
from pipeline.app.directory.gate import DirectoryGate, Gate, OpenGate
from pipeline.app.directory.posts import PostsReader
from pipeline.app.directory.relinker import Relinker, Ways
from pipeline.app.directory.settling import Settling
from pipeline.app.directory.stage import IN_HAND, DirectoryStage
from pipeline.app.enrich_stage import EnrichStage
from pipeline.app.far_sides import FarSides
from pipeline.app.hangup import Terminal
from pipeline.app.health import Health
from pipeline.app.index_stage import IndexStage
from pipeline.app.kafka_rights import demand, needs
from pipeline.app.meters import Meters
from pipeline.app.offsets import has_confirmed
from pipeline.app.producer import Producer
from pipeline.app.registry import build_chain
from pipeline.app.reload import Reloader
from pipeline.app.site import Site, group, now
from pipeline.app.tidying.daily import Tidying
from pipeline.app.topics import Topics, ensure_topics
from pipeline.app.vitals import tell_queue, tell_vitals
from pipeline.app.worker import Role, Stage, Worker
from pipeline.core.errors import FatalError
from pipeline.core.newest import Newest
from pipeline.core.settings import Settings
from pipeline.identity.directory import FOLDER, DirectoryReader
from sinks import elastic
from sinks.cases import Cases
from sinks.store import Store

log = logging.getLogger("groundswell.roles")

# Of `engine.stall_seconds`: 3 s an answer by default. A batch asks some ten times, and others come first.
_SLOW_SHARE = 0.05

CUSTOMER_STEP = "customer"
"""The step that links customers; it needs the directory."""


def run_role(name: str, settings: Settings, home: Path, file: Path | None = None) -> None:
    """Runs one role until SIGTERM or SIGINT; raises what makes it impossible to go on.

    ``file`` is the settings file, where there is one. SIGHUP has what was given up tried again.
    """
    asyncio.run(_run(name, settings, home, file))


async def _run(name: str, settings: Settings, home: Path, file: Path | None) -> None:
    stop = asyncio.Event()
    state = Health(name, Meters())
    site = Site(settings, home, state, file)
    _heed_signals(site, stop)
    port = settings.http.port and settings.http.port + health.ROLES.index(name)
    runner, port = await health.serve(state, settings.http.host, port)
    note = health.announce(home, name, port)
    log.info("%s: health at http://%s:%d/readyz", name, settings.http.host, port)
    FarSides(site).start()
    tell_vitals(site)
    try:
        topics = await _unless(stop, site, _topics(site))
        if topics is not None:
            await _ROLES[name](site, topics, stop)
    finally:
        site.end()
        health.leave(note)
        await runner.cleanup()
    log.info("%s: ended cleanly", name)


def _heed_signals(site: Site, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    terminal = Terminal()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: stop.set() if terminal.is_gone() else site.look_again())


async def _unless(stop: asyncio.Event, site: Site, work: Awaitable[Topics]) -> Topics | None:
    """The result of the work, or None when told to end before."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        stopping.cancel()
        return task.result()
    site.end()
    try:
        await task
    except FatalError as error:
        log.info("%s", error)
    return None


async def _topics(site: Site, queues: Sequence[str] = ()) -> Topics:
    patience = site.patience("kafka")
    return await asyncio.to_thread(lambda: patience.insist(lambda: _prepared(site, queues)))


def _prepared(site: Site, queues: Sequence[str]) -> Topics:
    """The topics, with all rights that the role needs. Without one a client of Kafka only stands still."""
    topics = ensure_topics(site.brokers, site.settings.kafka, queues)
    demand(site.brokers, needs([site.health.role], topics, site.settings.kafka, queues))
    return topics


async def _enrich(site: Site, topics: Topics, stop: asyncio.Event) -> None:
    reloader = Reloader(site, CUSTOMER_STEP)
    chain = build_chain(site.settings, site.home)
    garbage.settle()
    queues = queues_of(chain)
    if queues and await _unless(stop, site, _topics(site, queues)) is None:
        return
    producer = Producer(site.brokers, client_id="groundswell-enrich")
    prefix = site.settings.elasticsearch.prefix
    stage = EnrichStage(
        chain,
        producer,
        topics,
        prefix=prefix,
        clock=now,
        load=lambda partition: _remembered(site, topics, partition),
        gate=_gate(site),
        patience=site.patience("kafka"),
        amends=partial(amends.amends, site.brokers, topics.posts.name),
        notes=amends.LateNotes(site.home / amends.FOLDER),
        expiry=site.settings.expiry,
    )
    stage.make_good(site.settings.kafka.partitions)
    reloader.start(chain, stage.adopt, lambda queues: _prepared(site, queues))
    del chain  # so that it can be let go of when another takes its place
    await _work(site, "enrich", {topics.posts.name: stage}, producer, stop)


def _remembered(site: Site, topics: Topics, partition: int) -> Newest:
    """What was published of the posts of a partition, by whoever had it before."""
    with site.busy("changes", f"reading the changes of partition {partition}"):
        return load(site.brokers, topics, partition)


def _gate(site: Site) -> Gate:
    """What keeps posts from being linked by what was known yesterday."""
    if CUSTOMER_STEP not in site.settings.enrich.steps:
        return OpenGate()
    reader = DirectoryReader(site.home / FOLDER)
    return DirectoryGate(reader, site.settings.directory.settle_seconds, site.health, now)


async def _index(site: Site, topics: Topics, stop: asyncio.Event) -> None:
    producer = Producer(site.brokers, client_id="groundswell-index")
    url = elasticsearch_url(site.settings, site.home)
    name = topics.events.name
    sink = elastic.build(
        site.settings.elasticsearch,
        url,
        site.settings.engine.bulk_bytes,
        site.expiry,
        lambda: has_confirmed(site.brokers, name, group(site.settings, "index")),
    )
    marks = AuthorMarks(topics.authors.name, sink.authors)
    cases = Cases(sink.client, site.settings.elasticsearch)
    journal = journal_to(producer, topics)
    CaseCounts(CaseList(sink.client, site.settings.elasticsearch, cases), site).start()
    keeper = CaseKeeper(cases, journal, lambda: _restore(site, topics, cases))
    patience = site.patience("elasticsearch")
    engine = site.settings.engine
    room = engine.in_flight_batches * engine.batch_posts
    then = [keeper.follow]
    stage = IndexStage(
        sink, producer, topics, now, patience, marks=marks, room=room, then=then, expiry=site.expiry
    )
    garbage.settle()
    tidying = Tidying(site, topics, producer, url)
    tidying.start()
    try:
        await _work(site, "index", {name: stage}, producer, stop, in_hand={name: index_stage.IN_HAND})
    finally:
        await asyncio.to_thread(tidying.end)


def _restore(site: Site, topics: Topics, cases: Cases) -> int:
    with site.busy("cases", "bringing the cases back from their journal"):
        return restore(site.brokers, topics, cases)


async def _directory(site: Site, topics: Topics, stop: asyncio.Event) -> None:
    producer = Producer(site.brokers, client_id="groundswell-directory")
    builder = DirectoryBuilder(
        site.brokers,
        topics.customers.name,
        site.home / FOLDER,
        health=site.health,
        patience=site.patience("kafka"),
        clock=now,
    )
    client = elastic.client_for(site.settings.elasticsearch, elasticsearch_url(site.settings, site.home))
    # By their topics; each is begun with what it needs of the role.
    relinker = _relinker(site, topics, producer, builder, client)
    index = _customer_index(site, topics, producer, client)
    memory = AuthorMemory(client, site.settings.elasticsearch, now)
    stages: dict[str, Stage] = {
        topics.customers.name: DirectoryStage(index, relinker),
        topics.authors.name: author_stage.AuthorStage(memory, site.patience("elasticsearch")),
    }
    in_hand = {topics.customers.name: IN_HAND, topics.authors.name: author_stage.IN_HAND}
    builder.start()
    relinker.start()
    ending = asyncio.Event()
    watch = asyncio.ensure_future(_either(stop, (builder.over, relinker.over), ending))
    try:
        slow = {topics.customers.name: site.settings.directory.settle_seconds}
        await _work(site, "directory", stages, producer, ending, in_hand=in_hand, slow=slow)
    finally:
        watch.cancel()
        await asyncio.to_thread(builder.end)
        await asyncio.to_thread(relinker.end)
        client.close()
    builder.over.result()
    relinker.over.result()


def _customer_index(site: Site, topics: Topics, producer: Producer, client: Elasticsearch) -> Stage:
    """What writes the customers' index; the relinker prepares it before any batch comes there."""
    store = Store(client, site.settings.elasticsearch, customer_stage.KIND)
    return customer_stage.CustomerStage(store, producer, topics, now, site.patience("elasticsearch"))


def _relinker(
    site: Site, topics: Topics, producer: Producer, builder: DirectoryBuilder, client: Elasticsearch
) -> Relinker:
    """What has posts linked anew, not yet started."""
    settings = site.settings
    store = Store(client, settings.elasticsearch, customer_stage.KIND)
    ways = Ways(
        prepare=store.prepare,
        before=lambda ids: customers_of(store.get(ids)),
        is_past=builder.is_past,
        settling=lambda: Settling(site.brokers, settings, topics),
        posts=PostsReader(client, settings.elasticsearch.prefix),
        directory=DirectoryReader(site.home / FOLDER),
        producer=producer,
        posts_topic=topics.posts.name,
    )
    patience = site.patience("elasticsearch")
    return Relinker(ways, settings.directory.settle_seconds, patience, site.health)


async def _either(stop: asyncio.Event, overs: Iterable[Future[None]], ending: asyncio.Event) -> None:
    """Sets ``ending`` when the role is told to stop, or cannot go on for want of one of its threads."""
    stopping = asyncio.ensure_future(stop.wait())
    ends: set[asyncio.Future[Any]] = {stopping, *map(asyncio.wrap_future, overs)}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    ending.set()


async def _work(  # noqa: PLR0913 - what a worker is made of
    site: Site,
    role: str,
    stages: Mapping[str, Stage],
    producer: Producer,
    stop: asyncio.Event,
    *,
    in_hand: Mapping[str, int] | None = None,
    slow: Mapping[str, float] | None = None,
) -> None:
    tell_queue(site, producer)
    slowness = site.settings.engine.stall_seconds * _SLOW_SHARE
    worker = Worker(
        Role(role, group(site.settings, role)),
        stages,
        settings=site.settings,
        brokers=site.brokers,
        state=site.health,
        home=site.home,
        in_hand=in_hand,
        slow=slow,
        excused=lambda: elastic.PACE.slow(slowness, time.monotonic()),
    )
    try:
        await worker.run(stop)
    finally:
        producer.close()


async def _collect(site: Site, topics: Topics, stop: asyncio.Event) -> None:
    producer = Producer(site.brokers, client_id="groundswell-collect")
    tell_queue(site, producer)
    collectors = Collectors(site, topics, producer, CursorStore(site.home))
    try:
        await collectors.run(stop)
    finally:
        site.end()
        producer.close()


_ROLES: dict[str, Callable[[Site, Topics, asyncio.Event], Awaitable[None]]] = {
    "collect": _collect,
    "enrich": _enrich,
    "index": _index,
    "directory": _directory,
}
