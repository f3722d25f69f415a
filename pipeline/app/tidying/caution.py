"""When not to delete, although the clock and the settings say so: pure.

What is dropped is gone, and both may be wrong: a clock that jumped a year ahead, a 1 where 13 was meant. So
the clock is held against those of Elasticsearch, and the daily work leaves to a person what no day before it
would have left to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pipeline.app.tidying.plan import Task
from pipeline.core.errors import FatalError
from pipeline.core.retention import Expiry

ASTRAY = timedelta(days=2)
"""What is kept is counted in months: so much of a difference between clocks does no harm."""

LONGEST_PAUSE = timedelta(days=14)
"""Since the last tidying. After more either nobody tidied, or the clock has jumped."""

LONGEST_PAUSE_OF_STUBS = timedelta(days=90)
"""The same where only stubs of deleted posts go, of which nobody misses one before a year has passed."""

MOST_MONTHS = 2
"""Dropped by the daily work at once: it is one a month, and another where the first failed."""


def demand_right_clock(now: datetime, others: Iterable[datetime]) -> None:
    """Raises FatalError where our clock and one of the ``others`` are far apart."""
    for other in others:
        if abs(now - other) > ASTRAY:
            raise FatalError(
                f"nothing is dropped or closed: it is {now:%Y-%m-%d} here and {other:%Y-%m-%d} at"
                " Elasticsearch; mend the clock that is wrong"
            )


def demand_usual(
    now: datetime, last: datetime | None, tasks: Iterable[Task], expiry: Expiry, *, sweeps: bool
) -> None:
    """Raises FatalError where a day's work would delete more than a day's work can have to delete: ``last``
    is when it was tidied last, None where it never was; ``sweeps``: the log is due, too."""
    months = [task.index for task in tasks if task.what == "drop"]
    pause = LONGEST_PAUSE if expiry.drops_posts else LONGEST_PAUSE_OF_STUBS
    if len(months) > MOST_MONTHS:
        why = f"{len(months)} months are past their time at once: is retention.months what you mean?"
    elif (months or sweeps) and last is not None and now - last > pause:
        why = f"it is {now:%Y-%m-%d} here, and was {last:%Y-%m-%d} at the last tidying: is the clock right?"
    else:
        return
    raise FatalError(
        f"nothing is dropped or closed by itself, for {why} If so, see `groundswell tidy --dry-run`, and call"
        " `groundswell tidy`"
    )
