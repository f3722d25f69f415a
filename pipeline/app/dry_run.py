"""What a connector would send, without sending it: proves a source and its credentials, and shows its limits.

Needs no Kafka and keeps no cursor.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from pipeline.core.errors import FatalError, RetryableError
from pipeline.core.protocols import Connector, Cursor, Limit, Read

log = logging.getLogger("groundswell.collect")

ONCE_SECONDS = 10.0
"""A proof takes no longer, whatever the source still has."""

_REST = 1.0


class Trial(Struct):
    """What a dry run saw. ``limits`` are the last that the platform told of."""

    posts: int = 0
    rejected: int = 0
    limits: Sequence[Limit] = ()


def try_out(
    connector: Connector,
    cursor: Cursor | None,
    stop: threading.Event,
    show: Callable[[Read], None],
    within: float | None,
) -> Trial:
    """Reads from ``cursor`` and shows every read, until the source ends or ``stop`` is set.

    ``within`` is in seconds: it then ends as soon as all that is there now was read, or they are over, with
    FatalError where nothing could be read by then. Raises what the connector raises, but waits out a
    RetryableError.
    """
    trial = Trial()
    deadline = math.inf if within is None else time.monotonic() + within
    answered = False
    while not stop.is_set() and time.monotonic() <= deadline:
        try:
            read = connector.read(cursor)
        except RetryableError as error:
            rest = _REST if error.retry_after is None else error.retry_after
            if not answered and time.monotonic() + rest > deadline:
                raise FatalError(
                    f"nothing could be read in time: {error}; try again{_later(error)}"
                ) from None
            log.warning("%s; next try in %.0f s", error, rest)
            stop.wait(rest)
            continue
        answered = True
        cursor = read.cursor
        trial.posts += len(read.posts)
        trial.rejected += len(read.rejected)
        trial.limits = read.limits or trial.limits
        show(read)
        if read.wait is None or (within is not None and read.wait > 0):
            break
        stop.wait(read.wait)
    return trial


def _later(error: RetryableError) -> str:
    """When a person should: within a second the next of several hosts would have been asked, no more."""
    soon = error.retry_after is None or error.retry_after <= _REST
    return " later" if soon else f" in {error.retry_after:.0f} s"


def limit_in_words(limit: Limit) -> str:
    """As in "limit of requests: 449 of 450 left, anew in 12 s"."""
    left = "not said how much is left" if limit.left is None else f"{limit.left} left"
    if limit.left is not None and limit.total is not None:
        left = f"{limit.left} of {limit.total} left"
    anew = "" if limit.resets is None else f", anew in {limit.resets:.0f} s"
    return f"limit of {limit.name}: {left}{anew}"
