"""What a worker tells of the batches that it has in hand. No server is needed: they are handed to it here."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from pipeline.app.batch_driver import RecordBatch
from pipeline.app.brokers import Brokers
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.worker import Role, Worker
from pipeline.core.ledger import Lane
from pipeline.core.settings import Settings
from tests.app.test_enrich_stage import fetched


class Together:
    """A stage that is done with all its batches in one step, as with those that are written as one."""

    def __init__(self) -> None:
        self._begun: list[asyncio.Future[tuple[int, int]]] = []

    async def begin(self, _batch: RecordBatch) -> asyncio.Future[tuple[int, int]]:
        self._begun.append(asyncio.get_running_loop().create_future())
        return self._begun[-1]

    def end(self, count: int) -> None:
        for done in self._begun[:count]:
            done.set_result((1, 0))
        del self._begun[:count]

    def close(self) -> None:
        """Holds nothing."""


def in_hand(meters: Meters) -> float:
    found = re.search(r'^groundswell_batches_in_hand\{role="index"\} (\S+)$', meters.page().decode(), re.M)
    assert found
    return float(found[1])


async def turns() -> None:
    """Lets everything run that is ready, and what that makes ready."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_batches_that_end_together_are_in_hand_no_longer(tmp_path: Path) -> None:
    async def act() -> None:
        stage, meters, lane = Together(), Meters(), Lane()
        worker = Worker(
            Role("index", "group"),
            {"posts": stage},
            settings=Settings(),
            brokers=Brokers("127.0.0.1:9"),
            state=Health("index", meters),
            home=tmp_path,
            in_hand={"posts": 10},
        )
        for offset in range(5):
            entry = lane.begin(offset, offset + 1)
            await worker._accept(RecordBatch("posts", 0, fetched(b"{}"), lane, entry))
        assert in_hand(meters) == 5
        stage.end(2)
        await turns()
        assert in_hand(meters) == 3
        stage.end(3)
        await turns()
        assert lane.committable == 5
        assert in_hand(meters) == 0

    asyncio.run(act())
