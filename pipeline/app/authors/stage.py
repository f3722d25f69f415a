"""From marks to the memory of authors: many marks at once, and with a rest between, for it is no hurry.

While posts stream in, the same authors are marked again and again; what has gathered during a rest is
reckoned in one go. The rest is as long as the work was, so that writing posts always comes first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from pipeline.app.authors.marks import read_mark
from pipeline.app.authors.memory import AuthorMemory
from pipeline.app.batch_driver import RecordBatch
from pipeline.app.patience import Patience
from pipeline.core.errors import RejectedError

log = logging.getLogger("groundswell.authors")

Counts = tuple[int, int]

SHORTEST_REST = 1.0
LONGEST_REST = 3.0
"""Seconds; with the work itself it stays below the time that a rebalance gives to batches in hand."""

IN_HAND = 16
"""Batches of the topic that the worker may hand over before it waits: many are small."""

GONE = 10_000


class Gone:
    """The posts that were announced as deleted lately, by author. A deletion is final, so one that is
    remembered for too long does no harm; the oldest are forgotten."""

    def __init__(self, capacity: int = GONE) -> None:
        self._capacity = capacity
        self._author: OrderedDict[str, str] = OrderedDict()

    def note(self, author: str, posts: Sequence[str]) -> None:
        """These posts of the author are deleted, or will be at once."""
        for post in posts:
            self._author[post] = author
            self._author.move_to_end(post)
        while len(self._author) > self._capacity:
            self._author.popitem(last=False)

    def of(self, authors: set[str]) -> list[str]:
        """The posts of these authors."""
        return [post for post, author in self._author.items() if author in authors]


class _Waiting(Struct, eq=False):
    authors: list[str]
    rejected: int
    done: asyncio.Future[Counts]


class AuthorStage:
    """Takes batches of the authors topic; one instance a process."""

    def __init__(
        self,
        memory: AuthorMemory,
        patience: Patience,
        *,
        shortest_rest: float = SHORTEST_REST,
        longest_rest: float = LONGEST_REST,
    ) -> None:
        """The rests between two rounds are in seconds."""
        self._memory = memory
        self._patience = patience
        self._rests = shortest_rest, longest_rest
        self._gone = Gone()
        self._waiting: list[_Waiting] = []
        self._rounds: asyncio.Task[None] | None = None
        self._rested = 0.0
        self._prepared = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="groundswell-authors")

    async def begin(self, batch: RecordBatch) -> asyncio.Future[Counts]:
        """Returns at once; the future is done when each author of the batch is reckoned anew."""
        loop = asyncio.get_running_loop()
        waiting = self._read(batch, loop.create_future())
        self._waiting.append(waiting)
        if self._rounds is None or self._rounds.done():
            self._rounds = loop.create_task(self._work_off())
        return waiting.done

    def _read(self, batch: RecordBatch, done: asyncio.Future[Counts]) -> _Waiting:
        waiting = _Waiting([], 0, done)
        for record in batch.records:
            try:
                author, mark = read_mark(record.key, record.value)
            except RejectedError as error:
                log.warning("%s-%d-%d: %s", batch.topic, batch.partition, record.offset, error)
                waiting.rejected += 1
                continue
            waiting.authors.append(author)
            self._gone.note(author, mark.gone)
        return waiting

    async def _work_off(self) -> None:
        """Rounds until nothing waits any more."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(self._rested - loop.time())
            taken, self._waiting = self._waiting, []
            authors = {author for waiting in taken for author in waiting.authors}
            gone = self._gone.of(authors)
            began = loop.time()
            try:
                await loop.run_in_executor(self._thread, self._reckon, sorted(authors), gone)
            except Exception as error:
                for waiting in taken:
                    waiting.done.set_exception(error)
                return
            shortest, longest = self._rests
            ended = loop.time()
            self._rested = ended + min(max(ended - began, shortest), longest)
            for waiting in taken:
                waiting.done.set_result((len(waiting.authors), waiting.rejected))

    def _reckon(self, authors: Sequence[str], gone: Sequence[str]) -> None:
        self._patience.insist(lambda: self._remember(authors, gone))

    def _remember(self, authors: Sequence[str], gone: Sequence[str]) -> None:
        if not self._prepared:
            self._memory.prepare()
            self._prepared = True
        self._memory.reckon(authors, gone)

    def close(self) -> None:
        """Ends the thread; authors who still wait are reckoned next time."""
        self._patience.end()
        if self._rounds is not None:
            self._rounds.cancel()
        self._thread.shutdown()
