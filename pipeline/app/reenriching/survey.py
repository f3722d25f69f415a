"""The current state of every post of one partition, as far as it matters to a re-enrichment.

The log of events holds several states of a post until it is compacted, and gets new ones all the time. What
counts is the last one; so a post is known by where that stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline.app.log_reader import LogRecord
from pipeline.core.errors import FatalError, RejectedError
from pipeline.core.reenrichment import Choice, Glance, Verdict, glance_at

_CURRENT, _DELETED, _OTHER = -1, -2, -3
_CODES: dict[Verdict, int] = {"current": _CURRENT, "deleted": _DELETED, "other": _OTHER}
_NAMES = {code: verdict for verdict, code in _CODES.items()}


class Survey:
    """Fed with the records of a partition in their order. Some 200 bytes a post."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._states: dict[bytes, int] = {}
        self.last = -1
        """Behind this offset no record is wanted; -1 where none ever was."""

    def enter(self, records: Iterable[LogRecord]) -> list[tuple[bytes, Glance]]:
        """Takes up records; returns the key of each with what is to be seen of it. Raises FatalError where
        one is no event: nobody but enrich writes there."""
        seen = []
        for record in records:
            if record.value is None:
                self._states.pop(record.key, None)
                continue
            try:
                glance = glance_at(record.value)
            except RejectedError as error:
                raise FatalError(
                    f"record {record.offset} of partition {record.partition}: {error}"
                ) from error
            verdict = self._choice.verdict(glance)
            if verdict == "stale":
                self._states[record.key] = self.last = record.offset
            else:
                self._states[record.key] = _CODES[verdict]
            seen.append((record.key, glance))
        return seen

    def is_wanted(self, record: LogRecord) -> bool:
        """Whether this record is the last of its post, and the post is to be enriched once more."""
        return self._states.get(record.key) == record.offset

    def set_aside(self, key: bytes) -> None:
        """The post stays as it is."""
        self._states[key] = _OTHER

    @property
    def first(self) -> int | None:
        """Where the first of the records stands that are wanted; None where none is."""
        return min((place for place in self._states.values() if place >= 0), default=None)

    def sums(self) -> Counter[Verdict]:
        """Posts by what is to become of them."""
        found: Counter[Verdict] = Counter()
        for place in self._states.values():
            found["stale" if place >= 0 else _NAMES[place]] += 1
        return found
