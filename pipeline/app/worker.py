"""One role's process around Faust: an agent that takes batches, health pages, and a clean end.

Told to stop, it finishes the batches in hand, commits and returns. Anything that an agent cannot handle
is raised to end the process, for a worker that looks well and does nothing is worse
than one that is gone: the supervisor starts a new one, and nothing is lost, for nothing was committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import faust
from msgspec import Struct

from pipeline.app import batch_driver
from pipeline.app.ages import Ages
from pipeline.app.batch_driver import BatchConsumer, RecordBatch
from pipeline.app.brokers import Brokers
from pipeline.app.health import Health
from pipeline.app.watchdog import Limits, Watchdog
from pipeline.core.errors import FatalError
from pipeline.core.metrics import AGE, BATCH_SECONDS, IN_HAND, LAG, LOST, REBALANCES, RECORDS_IN, RECORDS_OUT
from pipeline.core.refusal_rate import RefusalRate
from pipeline.core.settings import Settings
from pipeline.core.stalls import Partition, Progress

log = logging.getLogger("groundswell.worker")

# A group notices a dead member after this; short, for a restart must not stand still for long.
SESSION_SECONDS = 10
# Longest time of an end before the process is taken to hang.
STOP_SECONDS = 30
# How often the log is asked where its partitions end, and how long that may take.
SURVEY_SECONDS = 10.0
SURVEY_LIMIT_SECONDS = 30.0


class Stage(Protocol):
    """What a role does with a batch."""

    async def begin(self, batch: RecordBatch) -> asyncio.Future[tuple[int, int]]:
        """Takes the batch on; the future is done, with (applied, rejected), once all of it is safe."""
        ...

    def close(self) -> None:
        """Lets go of threads; may be called twice."""
        ...


class Role(Struct, frozen=True):
    """What tells one worker from another."""

    name: str
    group: str


class Worker:
    """Runs a stage over each of its topics until told to end."""

    def __init__(  # noqa: PLR0913 - the worker's collaborators, each handed in once
        self,
        role: Role,
        stages: Mapping[str, Stage],
        *,
        settings: Settings,
        brokers: Brokers,
        state: Health,
        home: Path,
        in_hand: Mapping[str, int] | None = None,
        slow: Mapping[str, float] | None = None,
        excused: Callable[[], bool] = lambda: False,
    ) -> None:
        """``stages`` are by the names of their topics; ``in_hand`` is how many batches of a topic may be
        in hand, where that is not ``engine.in_flight_batches``; ``slow`` are the seconds that batches of a
        topic wait by design before they are confirmed; ``excused`` is as the watchdog has it."""
        self._role = role
        self._stages = stages
        self._settings = settings
        self._health = state
        self._meters = state.meters
        self._refusals = RefusalRate(settings.engine.rejected_share)
        self._home = home
        self._ages = Ages()
        bounds = dict.fromkeys(stages, settings.engine.in_flight_batches) | dict(in_hand or {})
        self._slots = {topic: asyncio.Semaphore(bound) for topic, bound in bounds.items()}
        self._in_hand: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        engine = settings.engine
        limits = Limits(engine.stall_seconds, engine.stall_exit_seconds, dict(slow or {}))
        loop = asyncio.get_running_loop()
        self._watchdog = Watchdog(
            role.name,
            state,
            limits,
            end=lambda error: loop.call_soon_threadsafe(self._end, error),
            excused=excused,
        )
        self._app = self._faust(brokers)

    def _faust(self, brokers: Brokers) -> faust.App:
        engine = self._settings.engine
        # Faust wants a folder for tables, of which there are none; it makes only the last part of the path.
        folder = self._home / "faust" / self._role.name
        folder.mkdir(parents=True, exist_ok=True)
        app = faust.App(
            self._role.group,
            **brokers.for_faust(),
            datadir=str(folder),
            store="memory://",
            autodiscover=False,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            consumer_auto_offset_reset="earliest",
            stream_wait_empty=True,
            # Never full: the driver fetches no more than may wait.
            stream_buffer_maxsize=100_000,
            broker_max_poll_records=engine.batch_posts,
            broker_commit_interval=engine.commit_seconds,
            broker_session_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=2,
            broker_rebalance_timeout=SESSION_SECONDS * 2,
            # Back-pressure may hold a partition for as long as Elasticsearch is away.
            broker_max_poll_interval=20 * 86400,
        )
        batch_driver.install(app, self._note_lost)
        for name in self._stages:
            self._add_agent(app, name)
        return app

    def _add_agent(self, app: faust.App, name: str) -> None:
        # The raw codec hands a batch through as it is.
        topic = app.topic(name, value_serializer="raw", key_serializer="raw")

        async def agent(stream: Any) -> None:
            async for batch in stream:
                await self._accept(batch)

        app.agent(topic, name=f"groundswell.{self._role.name}.{name}")(agent)

    async def _accept(self, batch: RecordBatch) -> None:
        """Takes one batch in hand. Whatever goes wrong ends the process: Faust would restart the agent."""
        try:
            batch_driver.take(batch)
            self._ages.began(batch)
            self._meters.count(RECORDS_IN, len(batch.records), self._role.name)
            await self._slots[batch.topic].acquire()
            began = time.monotonic()
            done = await self._stages[batch.topic].begin(batch)
        except Exception as error:
            self._end(error)
            await asyncio.Event().wait()  # never ask for the next batch
        task = asyncio.get_running_loop().create_task(self._see_through(batch, done, began))
        self._in_hand.add(task)
        self._tell_in_hand()
        task.add_done_callback(self._lay_down)

    def _lay_down(self, task: asyncio.Task[None]) -> None:
        # Counted only once it is out: batches that were written as one are all seen through in one step.
        self._in_hand.discard(task)
        self._tell_in_hand()

    def _tell_in_hand(self) -> None:
        self._meters.set(IN_HAND, len(self._in_hand), self._role.name)

    async def _see_through(
        self, batch: RecordBatch, done: asyncio.Future[tuple[int, int]], began: float
    ) -> None:
        try:
            applied, rejected = await done
        except Exception as error:
            self._end(error)
            return
        batch_driver.confirm(batch)
        self._ages.ended(batch)
        self._refusals.note(applied + rejected, rejected)
        if self._refusals.excess:
            self._end(
                FatalError(
                    f"{self._refusals.excess}: see `groundswell rejected list`, mend the cause"
                    " and replay them; engine.rejected_share says how many are borne"
                )
            )
        self._slots[batch.topic].release()
        name = self._role.name
        self._meters.observe(BATCH_SECONDS, time.monotonic() - began, name)
        self._meters.count(RECORDS_OUT, applied, name, "applied")
        self._meters.count(RECORDS_OUT, rejected, name, "rejected")

    def _end(self, error: BaseException) -> None:
        """Remembers the first failure; later ones follow from it."""
        if not self._over.done():
            self._over.set_exception(error)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set, or until a failure, which it raises."""
        loop = asyncio.get_running_loop()
        self._health.waits("kafka", "joining the consumer group")
        starting = loop.create_task(self._start())
        stopping = loop.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {self._over, stopping}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        log.info("%s: ending, %d batches in hand", self._role.name, len(self._in_hand))
        if self._over.done():
            # Nothing can be finished: let those who wait for a far side go, so that the end is quick.
            cast(BatchConsumer, self._app.consumer).drain_seconds = 0.0
            self._close_stages()
        starting.cancel()
        stopping.cancel()
        await self._stop()
        self._close_stages()
        self._watchdog.close()
        if self._over.done():
            self._over.result()
        # What fails from now on follows from the end, and nobody waits for it.
        self._over.cancel()

    def _close_stages(self) -> None:
        for stage in self._stages.values():
            stage.close()

    async def _start(self) -> None:
        try:
            await self._app.start()
            self._watchdog.start()
            loop = asyncio.get_running_loop()
            watching = [loop.create_task(self._watch()), loop.create_task(self._survey())]
            try:
                await self._app.wait_until_stopped()
            finally:
                for task in watching:
                    task.cancel()
            reason = self._app.crash_reason
            self._end(FatalError(f"the worker's Faust app ended by itself: {reason!r}"))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._end(error)

    async def _watch(self) -> None:
        """Ready once the group has given us a place; lag a partition, every second."""
        consumer = cast(BatchConsumer, self._app.consumer)
        generation = 0
        while True:
            if self._app.rebalancing or not consumer.assignment():
                # More workers than partitions leave some without any; that is a place, too.
                if self._app.rebalancing or not self._app.unassigned:
                    self._health.waits("kafka", "waiting for partitions of the consumer group")
                else:
                    self._health.works("kafka")
            else:
                self._health.works("kafka")
            progress = consumer.progress()
            self._tell_lag(progress)
            if self._app.consumer_generation_id != generation:
                generation = self._app.consumer_generation_id
                self._meters.count(REBALANCES, 1, self._role.name)
            self._watchdog.feed(progress, consumer.states())
            await asyncio.sleep(1)

    def _tell_lag(self, progress: Mapping[Partition, Progress]) -> None:
        """Of the partitions that this process holds, and of no others any longer."""
        now = time.time()
        for topic, partition in self._ages.left_by(progress):
            self._meters.forget(LAG, self._role.name, topic, str(partition))
            self._meters.forget(AGE, self._role.name, topic, str(partition))
        for at, one in progress.items():
            lag = max(one.end - one.done, 0)
            labels = (self._role.name, at[0], str(at[1]))
            self._meters.set(LAG, lag, *labels)
            self._meters.set(AGE, self._ages.oldest(at, lag, now), *labels)

    async def _survey(self) -> None:
        """Where the partitions end, from time to time: what nobody fetches shows in no other way."""
        consumer = cast(BatchConsumer, self._app.consumer)
        while True:
            try:
                await asyncio.wait_for(consumer.survey(), SURVEY_LIMIT_SECONDS)
            except Exception as error:
                # Kafka is away, or the consumer is ending. Whatever it is, the next look tells.
                log.debug("%s: the ends of the partitions are not known: %r", self._role.name, error)
            await asyncio.sleep(min(SURVEY_SECONDS, self._settings.engine.stall_seconds / 2))

    def _note_lost(self, topic: str, count: int) -> None:
        self._meters.count(LOST, count, self._role.name, topic)

    async def _stop(self) -> None:
        try:
            await asyncio.wait_for(self._app.stop(), STOP_SECONDS)
        except TimeoutError:
            log.error(
                "%s: did not end within %d s; what was in hand is done again", self._role.name, STOP_SECONDS
            )
