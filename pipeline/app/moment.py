"""Points in time as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pipeline.core.errors import ConfigError

_AGO = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORMS = "write 2026-11-22, 2026-11-22T10:00:00Z, or 90m, 24h, 7d, 2w for so long ago"


def moment(written: str, now: datetime) -> datetime:
    """The time that ``written`` means, in UTC: RFC 3339, a date's first instant, or a span before ``now``.

    A time without a zone is in UTC. Raises ConfigError.
    """
    text = written.strip()
    try:
        if ago := _AGO.fullmatch(text):
            return now.astimezone(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(f"`{written}` is no time: {_FORMS}") from None
