"""All configured connectors side by side, a thread each: one that fails hurts no other.

What waiting may mend is tried for ever. What it does not (a refused password, a wrong name, a fault of the
connector's own) is tried some times and then parked: somebody's account would be locked in the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from pipeline.app.collect import Pump, Tally
from pipeline.app.cursors import CursorStore
from pipeline.app.producer import Producer
from pipeline.app.registry import build_connector, check_connectors, load
from pipeline.app.showing import show
from pipeline.app.site import Site
from pipeline.app.standing import Standing, Watch, Watched, hindrances
from pipeline.app.topics import Topics
from pipeline.app.touched import Marks, files_of, marks
from pipeline.core.errors import ConfigError, GroundswellError, unforeseen
from pipeline.core.metrics import CONNECTOR_POSTS, RECORDS_IN
from pipeline.core.rests import Rests

log = logging.getLogger("groundswell.collect")

_FIRST_REST = 5.0
_LONGEST_REST = 300.0
# Between tries of what waiting does not mend; the last before it is parked is about twenty minutes.
_PARKING_FACTOR = 4.0
_LONGEST_PARKING_REST = 1800.0
_END_SECONDS = 10.0
_SHOW_SECONDS = 1.0


class Collectors:
    """Runs the connectors of the settings until told to end."""

    def __init__(self, site: Site, topics: Topics, producer: Producer, cursors: CursorStore) -> None:
        self._site = site
        self._topics = topics
        self._producer = producer
        self._cursors = cursors
        ours = site.settings.collect
        self._rests = Rests(_FIRST_REST, 2.0, _LONGEST_REST)
        self._parking_rests = Rests(
            _FIRST_REST, _PARKING_FACTOR, _LONGEST_PARKING_REST, ours.park_after, ours.parked_hours * 3600
        )
        self._watches = {
            name: Watch(name, str(table.get("kind")), ours.silent_seconds)
            for name, table in sorted(site.settings.connectors.items())
        }
        self._again = {name: threading.Event() for name in self._watches}
        # As they were read last, for a file that is named anew may be what is to be mended.
        self._tables = dict(site.settings.connectors)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set; with no connector configured it waits for that.

        Raises ConfigError with the faults of all connectors' settings, before any is begun.
        """
        check_connectors(self._site.settings.connectors)
        if not self._watches:
            log.info("collect: no connector is configured; add [connectors.NAME] to the settings")
        self._site.health.connectors = self.standings
        self._site.when_told.append(self.look_again)
        threads = [
            threading.Thread(target=self._keep_running, args=(name,), name=f"groundswell-{name}", daemon=True)
            for name in self._watches
        ]
        for thread in threads:
            thread.start()
        self._site.health.works("kafka")
        silent: set[str] = set()
        while not stop.is_set():
            silent = self._tell(silent)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _SHOW_SECONDS)
        self._site.ending.set()
        deadline = time.monotonic() + _END_SECONDS
        for thread in threads:
            await asyncio.to_thread(thread.join, max(deadline - time.monotonic(), 0.0))

    def standings(self) -> Sequence[Standing]:
        """How each connector stands, by name."""
        return [watch.standing for watch in self._watches.values()]

    def look_again(self) -> None:
        """Tries at once what rests or is parked."""
        for event in self._again.values():
            event.set()

    def _tell(self, silent: set[str]) -> set[str]:
        """Brings health, meters and log up to date; ``silent`` are those of whom that was told."""
        standings = self.standings()
        reasons = hindrances(standings)
        for one in standings:
            show(one, self._site.health.meters)
            if one.name in reasons:
                self._site.health.waits(f"connectors.{one.name}", reasons[one.name])
            else:
                self._site.health.works(f"connectors.{one.name}")
            if one.state == "silent" and one.name not in silent:
                log.warning("%s: %s; the other connectors go on without it", one.name, one.reason)
            elif one.state != "silent" and one.name in silent:
                log.info("%s: has come back", one.name)
        return {one.name for one in standings if one.state == "silent"}

    def _keep_running(self, name: str) -> None:
        """Runs one connector, and again after each failure, with longer and longer rests."""
        watch = self._watches[name]
        failures = parking = 0
        first = True
        while not self._site.ending.is_set():
            before = self._marks(name)
            self._again[name].clear()
            try:
                self._run_once(name, anew=not first)
                if not self._site.ending.is_set():
                    log.info("%s: the source has ended", name)
                watch.stands("ended")
                return
            except Exception as error:
                first = False
                if watch.worked:
                    failures = parking = 0
                failures += 1
                parking += _waiting_is_vain(error)
                rest = self._say(name, error, failures, parking)
            if self._rest(name, rest, before, max(parking - self._parking_rests.park_after, 0)):
                failures = parking = 0

    def _say(self, name: str, error: Exception, failures: int, parking: int) -> float:
        """Decides how long to rest after a failure, in seconds, and tells of it."""
        vain = _waiting_is_vain(error)
        rest = self._parking_rests.after(parking) if vain else self._rests.after(failures)
        ours = isinstance(error, GroundswellError)
        reason = str(error) if ours else unforeseen(error)
        trace = None if ours else error
        self._watches[name].stands("parked" if rest.parked else "rests", reason, rest.seconds)
        if rest.parked:
            log.error(
                "%s: parked after %d failures in a row: %s; mend that, and it is tried again when the "
                "settings file or a file that its table names changes, or by `kill -HUP %d`; else in %.1f h",
                name,
                parking,
                reason,
                os.getpid(),
                rest.seconds / 3600,
                exc_info=trace,
            )
        else:
            log.error("%s: %s; next try in %.0f s", name, reason, rest.seconds, exc_info=trace)
        return rest.seconds

    def _rest(self, name: str, seconds: float, before: Marks, parked: int) -> bool:
        """Until it is to be tried again: so many seconds are over, its files have changed, or somebody asked
        for it, which is true. ``parked`` is how often in a row it was parked before."""
        again = self._again[name]
        # Not by the wall's clock: one that is set back must not make seconds of rest into days.
        until = time.monotonic() + seconds
        # A file that changes all the time must not have a refused password tried all the time.
        quiet = time.monotonic() + self._rests.after(parked + 1).seconds
        while not self._site.ending.wait(0.5):
            if again.is_set():
                again.clear()
                return True
            now = time.monotonic()
            if now >= until or (now >= quiet and self._marks(name) != before):
                break
        return False

    def _marks(self, name: str) -> Marks:
        table = self._tables[name]
        kind = None
        with suppress(ConfigError):
            kind = load("connectors", str(table.get("kind"))).SETTINGS
        return marks(files_of(kind, name, table, self._site.file))

    def _run_once(self, name: str, anew: bool) -> None:
        """``anew`` has the settings read again, for they may be what was mended."""
        watch = self._watches[name]
        before = Tally()

        def report(tally: Tally) -> None:
            nonlocal before
            new = Tally(tally.posts - before.posts, tally.rejected - before.rejected)
            before = Tally(tally.posts, tally.rejected)
            watch.has_sent(new)
            self._site.health.meters.count(RECORDS_IN, new.posts + new.rejected, "collect")
            self._site.health.meters.count(CONNECTOR_POSTS, new.posts, name)

        table = (self._site.reread() if anew else self._site.settings).connectors.get(name)
        if table is None:
            raise ConfigError(f"[connectors.{name}] is no longer in the settings")
        self._tables[name] = table
        watch.begin(str(table.get("kind")))
        with watch.reading():
            connector = build_connector(name, table, self._site.home)
        pump = Pump(
            Watched(connector, watch),
            self._producer,
            self._topics,
            self._site.ending,
            keep=lambda cursor: self._cursors.save(name, cursor),
            report=report,
            trouble=lambda reason, pause: watch.stands("waits", reason, pause),
            name=name,
        )
        try:
            pump.run(self._cursors.load(name))
        finally:
            connector.close()


def _waiting_is_vain(error: Exception) -> bool:
    """Whether the same attempt would fail tomorrow, too: a person has to act. A full disk, a torn connection
    or an outage ends by itself."""
    if isinstance(error, GroundswellError):
        return isinstance(error, ConfigError)
    return not isinstance(error, OSError | MemoryError)
