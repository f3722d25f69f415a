"""How many cases wait in each queue, as metrics: the index is asked from time to time, in a thread.

Every index worker tells the same numbers, for they are the index's and not the worker's.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from pipeline.app.cases.listing import CaseList
from pipeline.app.site import Site
from pipeline.core.metrics import CASES_LATE, CASES_OPEN, CASES_UNASSIGNED

log = logging.getLogger("groundswell.cases")

EVERY_SECONDS = 30.0


class CaseCounts:
    """Counts until the site ends."""

    def __init__(self, cases: CaseList, site: Site) -> None:
        self._cases = cases
        self._site = site
        self._told: set[str] = set()

    def start(self) -> None:
        """Begins; it never keeps the process from ending."""
        threading.Thread(target=self._watch, name="groundswell-case-counts", daemon=True).start()

    def _watch(self) -> None:
        while not self._site.ending.is_set():
            try:
                self.count(datetime.now(UTC))
            except Exception as error:
                # That Elasticsearch is away others tell, and the log once a role; what was counted stays.
                log.debug("the cases cannot be counted now: %r", error)
            self._site.ending.wait(EVERY_SECONDS)

    def count(self, now: datetime) -> None:
        """Tells how each queue stands; of one whose cases are all resolved, that it has none."""
        meters = self._site.health.meters
        totals = {total.queue: total for total in self._cases.totals(now)}
        for queue in self._told | totals.keys():
            total = totals.get(queue)
            meters.set(CASES_OPEN, total.open if total else 0, queue)
            meters.set(CASES_UNASSIGNED, total.unassigned if total else 0, queue)
            meters.set(CASES_LATE, total.late if total else 0, queue)
        self._told |= totals.keys()
