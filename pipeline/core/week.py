"""Times of week in a named zone: ``mon-fri 08:00-18:00, sat 10:00-14:00 Europe/Berlin``.

The wall clock of the zone decides. So an hour that the clocks skip never comes, and one that they
repeat counts twice; a span that passes midnight belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from msgspec import Struct

from pipeline.core.errors import ConfigError
from pipeline.core.schema import suggestion

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBER = {name: number for names in (DAYS, _LONG) for number, name in enumerate(names)}
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
_TIMES = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")
_EXAMPLE = "write it like `mon-fri 08:00-18:00 Europe/Berlin`"

Span = tuple[int, int]


class Week(Struct, frozen=True):
    """``spans`` are minutes since Monday 00:00 of the zone's clock, without the end; sorted, disjoint."""

    spans: tuple[Span, ...]
    zone: ZoneInfo

    def contains(self, moment: datetime) -> bool:
        """Whether the aware ``moment`` lies in one of the spans."""
        try:
            local = moment.astimezone(self.zone)
        except OverflowError:  # on the calendar's first or last day the zone may have no such time
            return False
        minute = local.weekday() * _DAY_MINUTES + local.hour * 60 + local.minute
        return any(begin <= minute < end for begin, end in self.spans)

    def after(self, start: datetime, minutes: int) -> datetime:
        """The moment at which so many minutes of these times have passed since ``start``, in UTC.

        Raises OverflowError where the calendar ends before.
        """
        left, start = timedelta(minutes=minutes), start.astimezone(UTC)
        for opens, closes in self._openings(start):
            if closes < start:
                continue
            begin = max(opens, start)
            if closes - begin >= left:
                return begin + left
            left -= closes - begin
        raise AssertionError("unreachable: the weeks do not end")

    def _openings(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Stretches of real time within the spans, in order, from the week of ``start`` on."""
        local = start.astimezone(self.zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        monday = local - timedelta(days=local.weekday())
        for week in count():
            yield from _week(self, monday + timedelta(weeks=week))

    def pieces(self, monday: datetime) -> list[tuple[datetime, datetime]]:
        """The stretches of the week that begins on this day of the zone's calendar."""
        return sorted(piece for span in self.spans for piece in self._pieces(monday, span))

    def _pieces(self, monday: datetime, span: Span) -> Iterator[tuple[datetime, datetime]]:
        """The real time of one span; two pieces, or less than its length, where the clocks change in it."""
        opens, closes = ((monday + timedelta(minutes=minute)).replace(tzinfo=UTC) for minute in span)
        early, late = opens - timedelta(days=1), closes + timedelta(days=1)
        before, behind = self._offset(early), self._offset(late)
        if before == behind:
            yield opens - before, closes - before
            return
        while late - early > timedelta(seconds=1):
            middle = early + (late - early) / 2
            early, late = (middle, late) if self._offset(middle) == before else (early, middle)
        turn = late.replace(microsecond=0)
        for begin, end in (
            (opens - before, min(closes - before, turn)),
            (max(opens - behind, turn), closes - behind),
        ):
            if begin < end:
                yield begin, end

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()


# All posts of a minute ask for the same week, and to reckon one anew costs as much as a post's sentiment.
@lru_cache(1024)
def _week(week: Week, monday: datetime) -> list[tuple[datetime, datetime]]:
    return week.pieces(monday)


def week_of(text: str, zone: str = "") -> Week:
    """The week that ``text`` describes; ``zone`` counts where the text names none.

    Parts are separated by commas. A part without days means every day, one without times the whole
    day. Raises ConfigError with what is wrong and an example.
    """
    words = text.split()
    if words and ("/" in words[-1] or words[-1].isupper()):
        zone = words.pop()
    if not zone:
        raise ConfigError(f"`{text}` names no time zone: {_EXAMPLE}")
    spans = [span for part in " ".join(words).split(",") for span in _spans(part, text)]
    return Week(_merged(spans), zone_of(zone))


def zone_of(name: str) -> ZoneInfo:
    """The zone of the IANA name; ConfigError with the nearest names where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = suggestion(name, available_timezones())
        hint = "" if "known are" in hint else hint
        raise ConfigError(
            f"`{name}` is no time zone{hint or ', use a name such as `Europe/Berlin` or `UTC`'}"
        ) from None


def _spans(part: str, text: str) -> list[Span]:
    """The spans of one part, on each of its days."""
    words = part.lower().split()
    begin, end = 0, _DAY_MINUTES
    if words and words[-1][0].isdigit():
        begin, end = _minutes(words.pop(), text)
    elif not words:
        raise ConfigError(f"`{text}` has an empty part: {_EXAMPLE}")
    days = [day for word in words for day in _days(word, text)] or list(range(7))
    length = end - begin if end > begin else end - begin + _DAY_MINUTES
    return [(day * _DAY_MINUTES + begin, day * _DAY_MINUTES + begin + length) for day in days]


def _minutes(word: str, text: str) -> Span:
    found = _TIMES.fullmatch(word)
    if not found:
        raise ConfigError(f"`{word}` in `{text}` is no span of times: {_EXAMPLE}")
    hour, minute, last_hour, last_minute = map(int, found.groups())
    begin, end = hour * 60 + minute, last_hour * 60 + last_minute
    if max(minute, last_minute) > 59 or begin >= _DAY_MINUTES or end > _DAY_MINUTES:
        raise ConfigError(f"`{word}` in `{text}` is outside the day: times run from 00:00 to 24:00")
    if begin == end:
        raise ConfigError(f"`{word}` in `{text}` has no length: for a whole day leave the times out")
    return begin, end


def _days(word: str, text: str) -> list[int]:
    ends = [_NUMBER.get(name) for name in word.split("-")]
    if len(ends) > 2 or None in ends:
        raise ConfigError(f"`{word}` in `{text}` is no day: days are {', '.join(DAYS)}, and mon-fri")
    first, last = ends[0] or 0, ends[-1] or 0
    return [day % 7 for day in range(first, (last if last >= first else last + 7) + 1)]


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """The same minutes as sorted, disjoint spans within one week."""
    cut = [
        piece
        for begin, end in spans
        for piece in ((begin, min(end, _WEEK_MINUTES)), (0, end - _WEEK_MINUTES))
        if piece[0] < piece[1]
    ]
    merged: list[Span] = []
    for begin, end in sorted(cut):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)
