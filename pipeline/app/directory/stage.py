"""The stage of the customers topic: posts are linked anew, and the customers' own index is written.

In this order for each batch: the first look at the posts, which asks the index for the customers as they
were; then the index of customers; then, much later, the second look. The batch is confirmed after that,
so a process that dies in between does all of it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.app import batch_driver
from pipeline.app.batch_driver import RecordBatch
from pipeline.app.directory.changes import change_of
from pipeline.app.directory.relinker import Relinker
from pipeline.app.enrich_stage import Counts
from pipeline.app.worker import Stage
from pipeline.core.errors import RejectedError
from pipeline.identity.directory import Change

IN_HAND = 1000
"""Batches of the customers topic that may wait for their second look. A change at a time makes many small
ones; what bounds the memory is how many changes the relinker takes."""

_POLL_SECONDS = 0.1


class DirectoryStage:
    """Takes batches of the customers topic; ``index`` writes the customers' index and rejects bad records."""

    def __init__(self, index: Stage, relinker: Relinker) -> None:
        self._index = index
        self._relinker = relinker
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="groundswell-changes")

    async def begin(self, batch: RecordBatch) -> asyncio.Future[Counts]:
        """Returns once there is room for the changes; the future is done after the second look."""
        while self._relinker.crowded:
            await asyncio.sleep(_POLL_SECONDS)
        loop = asyncio.get_running_loop()
        changes = await loop.run_in_executor(self._threads, _changes, batch.partition, batch.records)
        return asyncio.ensure_future(self._see_through(batch, changes))

    async def _see_through(self, batch: RecordBatch, changes: list[Change]) -> Counts:
        work = self._relinker.submit(changes)
        await asyncio.wrap_future(work.first)
        counts = await (await self._index.begin(batch))
        batch_driver.let_go(batch)
        batch.records.clear()
        await asyncio.wrap_future(work.second)
        return counts

    def close(self) -> None:
        """Ends both; what was in hand is done again next time."""
        self._relinker.end()
        self._index.close()
        self._threads.shutdown()


def _changes(partition: int, records: Sequence[Any]) -> list[Change]:
    """The changes that can be read; what cannot is set aside by whoever writes the index."""
    found = []
    for record in records:
        try:
            found.append(change_of(partition, record.offset, record.key, record.value))
        except RejectedError:
            continue
    return found
