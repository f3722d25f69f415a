"""Tidying once a day, in a thread of the role index: no cron, and one worker of all does it.

What goes wrong is told in the log and tried again; it never ends the role, for posts can be written without.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime

from pipeline.app.producer import Producer
from pipeline.app.reconstruction import Log
from pipeline.app.site import Site, now
from pipeline.app.tidying.record import Record, is_taken
from pipeline.app.tidying.tidier import Tidier
from pipeline.app.topics import Topics
from pipeline.core.errors import GroundswellError
from pipeline.core.metrics import TIDIED
from sinks import elastic

log = logging.getLogger("groundswell.tidying")

FIRST_SECONDS = 300.0
"""After the start of the role, which has better things to do then."""

EVERY_SECONDS = 600.0


class Tidying:
    """Looks every ten minutes whether the day's work is to be done, and does it."""

    def __init__(  # noqa: PLR0913 - what a tidier is made of, and how often
        self,
        site: Site,
        topics: Topics,
        producer: Producer,
        url: str,
        *,
        first: float = FIRST_SECONDS,
        every: float = EVERY_SECONDS,
    ) -> None:
        """``url`` is that of Elasticsearch; ``first`` and ``every`` are in seconds."""
        self._client = elastic.client_for(site.settings.elasticsearch, url)
        self._tidier = Tidier(self._client, site.settings, Log(site.brokers, topics, producer))
        self._hour = site.settings.retention.hour
        self._health = site.health
        self._since = now()
        self._first, self._every = first, every
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="groundswell-tidying", daemon=True)
        # A day that we took and did not finish.
        self._ours: datetime | None = None
        self._told = ""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def end(self) -> None:
        """No further look; a run under way is cut off with the process and done again another time."""
        self._ending.set()
        self._thread.join(1.0)
        self._client.close()

    def _run(self) -> None:
        rest = self._first
        while not self._ending.wait(rest):
            rest = self._every
            try:
                self.look(now())
            except Exception as error:
                if self._ending.is_set():
                    return  # its clients are closed under it
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        """One line a spell of the same trouble; what nobody foresaw comes with where it came from."""
        told = f"{type(error).__name__}: {error}"
        if told == self._told:
            return
        self._told = told
        if isinstance(error, GroundswellError):
            log.warning("tidying waits: %s", error)
        else:
            log.error("tidying failed and is tried again: %s", told, exc_info=error)

    def look(self, moment: datetime) -> None:
        """Does the day's work where it is time and nobody else has taken it. Raises FatalError where clock or
        settings are in doubt: then nothing is deleted."""
        tidier = self._tidier
        record = tidier.records.read()
        self._note(record)
        tidier.demand_right_clock(moment)
        tidier.finish_dropping(moment)
        if self._ours is None:
            if moment.hour < self._hour or (record and is_taken(record, moment)):
                return
            tidier.demand_usual(moment)
            if not tidier.records.claim(moment):
                return
            self._ours = moment
        began = time.monotonic()
        done = tidier.run(moment)
        self._note(done)
        self._ours, self._told = None, ""
        for sentence in done.did:
            log.info("%s", sentence)
        log.info("tidied in %.0f s: %d things done", time.monotonic() - began, len(done.did))

    def _note(self, record: Record | None) -> None:
        """When it was tidied last, by whomever; from our start on where that never was."""
        at = record.tidied_at or record.finished_at if record else None
        self._health.meters.set(TIDIED, (at or self._since).timestamp(), self._health.role)
