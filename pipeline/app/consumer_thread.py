"""The thread in which aiokafka fetches and keeps its place in the group, for the driver of batches.

What aiokafka and Faust do there is as it is but for what the methods here say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.consumer.fetcher import OffsetResetStrategy
from aiokafka.errors import NoError
from aiokafka.structs import TopicPartition as AioTopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.app.lease import Lease

# aiokafka has one fetch at a time under way to a broker, and what that does not ask for waits until the
# broker has answered. Faust lets it hold an answer back for 1.5 s where there is nothing new.
FETCH_WAIT_MS = 50
# What asks for every partition keeps none waiting, and news of any answers it at once. What else goes to the
# broker over that connection, after a rebalance say, still waits for it. An idle process wakes so seldom.
IDLE_FETCH_WAIT_MS = 250

# What proves, when it is answered well, that the group has us. Not so a heartbeat that is told of a
# rebalance: who does not rejoin in time is thrown out though its heart beats.
_PROOFS = ("HeartbeatRequest", "SyncGroupRequest")


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread of Faust's consumer; what is there is fetched at once, whatever other partitions do.

    ``lease`` is renewed by what the group answers. ``reached`` is where the last fetch left each partition:
    all records before that were handed out by then.
    """

    lease: Lease
    reached: Mapping[TP, int]

    async def on_start(self) -> None:
        """Listens from before the group is joined."""
        await super().on_start()
        coordinator: Any = self._ensure_consumer()._coordinator
        send = coordinator._send_req

        async def listening(request: Any) -> Any:
            asked = self.lease.clock()
            answer = await send(request)
            if type(request).__name__ in _PROOFS and answer.error_code == NoError.errno:
                self.lease.renew(asked)
            return answer

        coordinator._send_req = listening
        _wait_by_what_is_asked(self._ensure_consumer()._fetcher)

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        # Not a step later: what is fetched next would count as handed out.
        self.reached = _places(consumer)
        # aiokafka gives all that it has of one partition before it looks at the next, and of like posts one
        # fetch of a megabyte holds a hundred thousand: who had a turn goes to the end of the queue.
        waiting = consumer._fetcher._records
        for tp in [tp for tp in records if tp in waiting]:
            waiting.move_to_end(tp)
        return records

    async def begin_anew(self, partitions: Iterable[TP]) -> None:
        """Goes back to where the log begins, of those partitions that are still ours. Does not wait for Kafka
        to say where that is: nothing of them is handed out before."""
        await self.call_thread(self._begin_anew, list(partitions))

    async def _begin_anew(self, partitions: Iterable[TP]) -> None:
        consumer: Any = self._ensure_consumer()
        wanted = {AioTopicPartition(tp.topic, tp.partition) for tp in partitions}
        if held := wanted & consumer.assignment():
            consumer._fetcher.request_offset_reset(held, OffsetResetStrategy.EARLIEST)

    def look_again(self) -> None:
        """Whoever waits for records looks at once whether there are any that it may have now."""
        self.thread_loop.call_soon_threadsafe(self._rouse)

    def _rouse(self) -> None:
        fetcher = self._consumer._fetcher if self._consumer is not None else None
        if fetcher is not None:
            for waiter in list(fetcher._fetch_waiters):
                fetcher._notify(waiter)


def _wait_by_what_is_asked(fetcher: Any) -> None:
    """Has each fetch wait for news as long as is good for the partitions that it leaves out."""
    actions = fetcher._get_actions_per_node

    def acting(assignment: Any) -> Any:
        left_out = fetcher._records or any(assignment.state_value(tp).paused for tp in assignment.tps)
        fetcher._fetch_max_wait_ms = FETCH_WAIT_MS if left_out else IDLE_FETCH_WAIT_MS
        return actions(assignment)

    fetcher._get_actions_per_node = acting


def _places(consumer: Any) -> dict[TP, int]:
    """The offset behind what was handed out, a partition. Where only transaction markers or aborted records
    were, it is behind these."""
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    states = {tp: assignment.state_value(tp) for tp in assignment.tps} if assignment is not None else {}
    return {
        TP(tp.topic, tp.partition): state.position
        for tp, state in states.items()
        if state is not None and state.has_valid_position
    }
