"""What a platform's refusal means to the runtime: which error it is, and how long to stay away. Pure.

For all connectors that speak HTTP, whatever library they speak it with.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipeline.core.errors import ConfigError, GroundswellError, RetryableError

LONGEST_REST = 3600.0
"""Seconds; whoever tells of a longer wait is asked again after this, for his clock may be wrong."""

# In the order in which they are believed.
_RESETS = ("retry-after", "x-rate-limit-reset", "x-ratelimit-reset", "ratelimit-reset")
# Above it a number is a time since 1970, below it a span.
_EPOCH = 100_000_000


def refused(
    status: int, headers: Mapping[str, str], who: str, remedy: str, now: datetime
) -> GroundswellError:
    """The error for an answer with a status that brings nothing.

    ``who`` is the platform in words, ``remedy`` what a person must do about credentials ("renew the token
    in token_file"). ``now`` is our own clock. ConfigError for what only a person can mend, else
    RetryableError.
    """
    if status in (401, 403):
        return ConfigError(f"{who} refuses to let us read (status {status}): {remedy}")
    if status in (404, 410):
        return ConfigError(f"{who} has nothing at the address that was asked (status {status}): {remedy}")
    if status == 429:
        return RetryableError(f"{who} says that its limit is reached", reset_seconds(headers, now))
    if 300 <= status < 400:
        return RetryableError(f"{who} sends us to another address (status {status}), which is not followed")
    if status >= 500 or status in (408, 425):
        return RetryableError(f"{who} is out of order (status {status})", reset_seconds(headers, now))
    return ConfigError(f"{who} does not take the request (status {status}): {remedy}")


def reset_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until the platform wants to be asked again, 0 to an hour; None where it does not say.

    Points in time are held against the platform's own clock, the header Date, where it sends one.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    clock = moment_of(lower.get("date", "")) or now
    for name in _RESETS:
        seconds = _seconds(lower.get(name, ""), clock)
        if seconds is not None:
            return min(max(seconds, 0.0), LONGEST_REST)
    return None


def _seconds(text: str, clock: datetime) -> float | None:
    try:
        number = float(text)
    except ValueError:
        at = moment_of(text)
        return None if at is None else (at - clock).total_seconds()
    if not math.isfinite(number):
        return None
    return number - clock.timestamp() if number > _EPOCH else number


def moment_of(text: str) -> datetime | None:
    """RFC 3339, or as HTTP writes dates; None where it is neither."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        with contextlib.suppress(ValueError, TypeError, IndexError, OverflowError):
            moment = read(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
