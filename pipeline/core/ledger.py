"""Which offsets may be committed: only those before which everything is confirmed.

One :class:`Lane` a partition holds the batches that were fetched and not yet confirmed, in the order
of the log. Batches may be confirmed in any order; what may be committed is the end of the contiguous
confirmed prefix. Offsets that the log itself leaves out (compaction, transaction markers) lie between
batches and are passed over with them, or by :meth:`Lane.pass_over` where no batch follows. Pure: knows no
Kafka, no clock and no thread; callers lock.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct


class Entry(Struct):
    """One fetched batch: offsets from ``first`` up to, not including, ``after``.

    ``handed`` is whether somebody ever took it, ``taken`` whether a rebalance has to wait for who did.
    """

    first: int
    after: int
    handed: bool = False
    taken: bool = False
    confirmed: bool = False


class Lane:
    """The batches of one assignment of one partition. A new assignment gets a new lane."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._committable: int | None = None
        self._after = -1

    def begin(self, first: int, after: int) -> Entry:
        """Enters a fetched batch. Raises ValueError unless it lies behind all earlier ones."""
        if not self._after <= first < after:
            raise ValueError(f"batch {first}..{after} does not follow {self._after}")
        self._after = after
        entry = Entry(first, after)
        self._entries.append(entry)
        return entry

    def pass_over(self, after: int) -> None:
        """Up to, not including, ``after`` the log holds nothing more to fetch than what was entered."""
        if after > self._after:
            entry = self.begin(after - 1 if self._after < 0 else self._after, after)
            entry.handed = True
            self.confirm(entry)

    def confirm(self, entry: Entry) -> None:
        """Everything in the batch is safe elsewhere. Confirming twice is harmless."""
        entry.confirmed = True
        while self._entries and self._entries[0].confirmed:
            self._committable = self._entries.popleft().after

    @property
    def committable(self) -> int | None:
        """The offset to commit, which is that of the next record to be read; None where none is yet."""
        return self._committable

    @property
    def after(self) -> int | None:
        """The offset behind the last batch entered, None where there was none."""
        return self._after if self._after >= 0 else None

    @property
    def waiting(self) -> list[Entry]:
        """The batches that nobody took in hand yet."""
        return [entry for entry in self._entries if not entry.handed]

    @property
    def taken(self) -> int:
        """How many batches are in somebody's hands: taken and not confirmed."""
        return sum(entry.taken and not entry.confirmed for entry in self._entries)

    @property
    def open(self) -> int:
        """How many batches are fetched and not confirmed, or confirmed behind one that is not."""
        return len(self._entries)

    @property
    def oldest(self) -> int | None:
        """The first offset not yet confirmed, None where all are."""
        return self._entries[0].first if self._entries else None
