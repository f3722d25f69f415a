"""How old the oldest record is that a worker has not dealt with, as far as its batches tell."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.app.batch_driver import RecordBatch
from pipeline.core.stalls import Partition


class Ages:
    """Told of batches as they begin and end. Times are in seconds since 1970; the event loop's alone."""

    def __init__(self) -> None:
        # The time of the first record of each batch in hand.
        self._open: dict[Partition, dict[int, float]] = {}
        # The time of the last record that was dealt with.
        self._done: dict[Partition, float] = {}
        # When something was left to do after there had been nothing, or after nothing was known.
        self._since: dict[Partition, float] = {}
        self._asked: set[Partition] = set()

    def began(self, batch: RecordBatch) -> None:
        """A batch was taken in hand."""
        batches = self._open.setdefault((batch.topic, batch.partition), {})
        batches[id(batch)] = batch.records[0].timestamp / 1000

    def ended(self, batch: RecordBatch) -> None:
        """All of a batch is safe."""
        at = (batch.topic, batch.partition)
        self._open.get(at, {}).pop(id(batch), None)
        self._done[at] = batch.records[-1].timestamp / 1000

    def oldest(self, at: Partition, lag: int, now: float) -> float:
        """Seconds since the oldest of ``lag`` records of a partition was written; an estimate where none of
        them was fetched yet, and 0 where there is none. Asked about once a second."""
        self._asked.add(at)
        if not lag:
            self._since.pop(at, None)
            return 0.0
        # What comes after there was nothing is no older than that; neither is what follows the last one done.
        since = self._since.setdefault(at, now)
        opened = self._open.get(at)
        if opened:
            return max(now - min(opened.values()), 0.0)
        known = self._done.get(at)
        return max(now - (since if known is None else max(known, since)), 0.0)

    def left_by(self, held: Collection[Partition]) -> list[Partition]:
        """The partitions that were asked about and are held no longer; they are forgotten."""
        gone = [at for at in {*self._asked, *self._done, *self._open} if at not in held]
        for at in gone:
            for known in (self._since, self._done, self._open):
                known.pop(at, None)
        self._asked.intersection_update(held)
        return gone
