"""What each role of the daemon is made of, from the settings to a running process.

The only place that knows how the parts fit together; the parts do not know each other.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from pipeline.app import health
from pipeline.app.changes import load
from pipeline.app.collectors import Collectors
from pipeline.app.configuration import elasticsearch_url
from pipeline.app.cursors import CursorStore
from pipeline.app.enrich_stage import EnrichStage
from pipeline.app.health import Health
from pipeline.app.index_stage import IndexStage
from pipeline.app.meters import Meters
from pipeline.app.producer import Producer
from pipeline.app.registry import build_chain
from pipeline.app.site import Site, group, now
from pipeline.app.topics import Topics, ensure_topics
from pipeline.app.worker import Role, Stage, Worker
from pipeline.core.errors import FatalError
from pipeline.core.settings import Settings
from sinks import elastic

log = logging.getLogger("groundswell.roles")


def run_role(name: str, settings: Settings, home: Path) -> None:
    """Runs one role until SIGTERM or SIGINT; raises what makes it impossible to go on."""
    asyncio.run(_run(name, settings, home))


async def _run(name: str, settings: Settings, home: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    state = Health(name, Meters())
    site = Site(settings, home, state)
    port = settings.http.port and settings.http.port + health.ROLES.index(name)
    runner, port = await health.serve(state, settings.http.host, port)
    note = health.announce(home, name, port)
    log.info("%s: health at http://%s:%d/readyz", name, settings.http.host, port)
    try:
        topics = await _unless(stop, site, _topics(site))
        if topics is not None:
            await _ROLES[name](site, topics, stop)
    finally:
        note.unlink(missing_ok=True)
        await runner.cleanup()
    log.info("%s: ended cleanly", name)


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


async def _topics(site: Site) -> Topics:
    patience = site.patience("kafka")
    return await asyncio.to_thread(
        lambda: patience.insist(lambda: ensure_topics(site.bootstrap, site.settings.kafka))
    )


async def _enrich(site: Site, topics: Topics, stop: asyncio.Event) -> None:
    producer = Producer(site.bootstrap, client_id="groundswell-enrich")
    prefix = site.settings.elasticsearch.prefix
    patience = site.patience("kafka")
    stage = EnrichStage(
        build_chain(site.settings, site.home),
        producer,
        topics,
        prefix=prefix,
        clock=now,
        load=lambda partition: patience.insist(lambda: load(site.bootstrap, topics, partition)),
    )
    await _work(site, "enrich", {topics.posts.name: stage}, producer, stop)


async def _index(site: Site, topics: Topics, stop: asyncio.Event) -> None:
    producer = Producer(site.bootstrap, client_id="groundswell-index")
    url = elasticsearch_url(site.settings, site.home)
    sink = elastic.build(site.settings.elasticsearch, url, site.settings.engine.bulk_bytes)
    stage = IndexStage(sink, producer, topics, now, site.patience("elasticsearch"))
    await _work(site, "index", {topics.events.name: stage}, producer, stop)


async def _work(
    site: Site, role: str, stages: Mapping[str, Stage], producer: Producer, stop: asyncio.Event
) -> None:
    worker = Worker(
        Role(role, group(site.settings, role)),
        stages,
        settings=site.settings,
        bootstrap=site.bootstrap,
        state=site.health,
        home=site.home,
    )
    try:
        await worker.run(stop)
    finally:
        producer.close()


async def _collect(site: Site, topics: Topics, stop: asyncio.Event) -> None:
    producer = Producer(site.bootstrap, client_id="groundswell-collect")
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
}
