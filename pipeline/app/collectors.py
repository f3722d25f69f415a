"""All configured connectors side by side, a thread each: one that fails hurts no other."""

from __future__ import annotations

import asyncio
import logging
import threading

from pipeline.app.collect import Pump, Tally
from pipeline.app.cursors import CursorStore
from pipeline.app.producer import Producer
from pipeline.app.registry import build_connector, check_connectors
from pipeline.app.site import Site
from pipeline.app.topics import Topics
from pipeline.core.errors import GroundswellError
from pipeline.core.metrics import RECORDS_IN

log = logging.getLogger("groundswell.collect")

_FIRST_REST = 5.0
_LONGEST_REST = 300.0


class Collectors:
    """Runs the connectors of the settings until told to end."""

    def __init__(self, site: Site, topics: Topics, producer: Producer, cursors: CursorStore) -> None:
        self._site = site
        self._topics = topics
        self._producer = producer
        self._cursors = cursors

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set; with no connector configured it waits for that.

        Raises ConfigError with the faults of all connectors' settings, before any is begun.
        """
        names = sorted(self._site.settings.connectors)
        check_connectors(self._site.settings.connectors)
        if not names:
            log.info("collect: no connector is configured; add [connectors.NAME] to the settings")
        threads = [
            threading.Thread(target=self._keep_running, args=(name,), name=f"groundswell-{name}", daemon=True)
            for name in names
        ]
        for thread in threads:
            thread.start()
        self._site.health.works("kafka")
        await stop.wait()
        self._site.ending.set()
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)

    def _keep_running(self, name: str) -> None:
        """Runs one connector, and again after each failure, with longer and longer rests."""
        rest = _FIRST_REST
        while not self._site.ending.is_set():
            try:
                self._run_once(name)
                if not self._site.ending.is_set():
                    log.info("%s: the source has ended", name)
                return
            except GroundswellError as error:
                log.error("%s: %s; next try in %.0f s", name, error, rest)
                self._say(name, str(error))
            except Exception as error:
                log.exception("%s: an unforeseen fault; next try in %.0f s", name, rest)
                self._say(name, f"an unforeseen fault: {error!r}")
            self._site.ending.wait(rest)
            rest = min(rest * 2, _LONGEST_REST)

    def _say(self, name: str, trouble: str) -> None:
        """Why a connector cannot work, or an empty text when it can, for /readyz and status."""
        if trouble:
            self._site.health.waits(f"connectors.{name}", trouble)
        else:
            self._site.health.works(f"connectors.{name}")

    def _run_once(self, name: str) -> None:
        connector = build_connector(name, self._site.settings.connectors[name], self._site.home)
        before = Tally()

        def report(tally: Tally) -> None:
            nonlocal before
            self._say(name, "")
            new = tally.posts + tally.rejected - before.posts - before.rejected
            self._site.health.meters.count(RECORDS_IN, new, "collect")
            before = Tally(tally.posts, tally.rejected)

        pump = Pump(
            connector,
            self._producer,
            self._topics,
            self._site.ending,
            keep=lambda cursor: self._cursors.save(name, cursor),
            report=report,
            trouble=lambda trouble: self._say(name, trouble),
        )
        try:
            pump.run(self._cursors.load(name))
        finally:
            connector.close()
