"""The driver of batches where a rebalance comes in its midst: nothing that was not done may be committed.

No server gives such moments to order, so what Kafka's client would say is said here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher, FetchError
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.structs import ConsumerRecord
from aiokafka.structs import TopicPartition as AioTopicPartition
from faust.types import TP

from pipeline.app import batch_driver, consumer_thread
from pipeline.app.batch_driver import BatchConsumer

HERE = TP("posts", 0)
Act = Callable[[BatchConsumer], Coroutine[Any, Any, None]]


async def _nothing(_partitions: Any) -> None:
    """What Faust would do besides."""


def driven(act: Act) -> None:
    """Runs the act with a consumer that holds one partition and is not connected to anything."""

    async def run() -> None:
        app = faust.App(
            "test", broker="kafka://127.0.0.1:9", store="memory://", autodiscover=False, web_enabled=False
        )
        batch_driver.install(app, lambda _topic, _count: None)
        consumer: Any = app.transport.create_consumer(
            _nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing
        )
        consumer.assignment = lambda: {HERE}
        consumer.highwater = lambda _tp: 1000
        try:
            await act(consumer)
        finally:
            consumer._thread.thread_loop.close()

    asyncio.run(run())


def fetched(first: int, after: int) -> Mapping[TP, list[Any]]:
    return {HERE: [_record(offset) for offset in range(first, after)]}


def _record(offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(*HERE, offset, 0, 0, b"k", b"v", None, 1, 1, ())


def fetching(
    consumer: Any,
    records: Mapping[TP, Sequence[Any]],
    reached: Mapping[TP, int],
    meanwhile: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """The next fetch brings these records and leaves off at that place; ``meanwhile`` comes to pass while
    the driver asks where the log begins."""

    async def wait_next_records(_timeout: float) -> Any:
        consumer._thread.reached = reached
        return records, {HERE}

    async def earliest_offsets(*_partitions: TP) -> Mapping[TP, int]:
        await meanwhile()
        return {HERE: 0}

    consumer._wait_next_records = wait_next_records
    consumer.earliest_offsets = earliest_offsets


async def handed(consumer: BatchConsumer) -> list[int]:
    return [message.offset async for _, message in consumer.getmany(1.0)]


@pytest.mark.parametrize(
    ("records", "reached"),
    [(fetched(20, 30), {HERE: 30}), ({}, {HERE: 30})],
    ids=["records behind a hole", "nothing but markers"],
)
@pytest.mark.parametrize("rebalanced", [False, True])
def test_what_was_fetched_before_a_rebalance_is_not_taken_up_behind_it(
    records: Mapping[TP, list[Any]], reached: Mapping[TP, int], rebalanced: bool
) -> None:
    async def act(consumer: BatchConsumer) -> None:
        async def rebalance() -> None:
            if rebalanced:
                await consumer.on_partitions_revoked({HERE})

        first = consumer._as_message(HERE, fetched(0, 10)[HERE]).value
        fetching(consumer, records, reached, rebalance)
        offsets = await handed(consumer)
        lane = consumer.lanes.get(HERE)
        if rebalanced:
            # 0 to 9 are not confirmed: from there it goes on.
            assert offsets == []
            assert lane is None
        else:
            assert lane is not None
            assert lane.after == 30
            batch_driver.confirm(first)
            assert lane.committable == (30 if not records else 10)

    driven(act)


def _fetcher_of(places: Sequence[AioTopicPartition]) -> tuple[AIOKafkaClient, Any, Fetcher]:
    """One that stands in the midst of these partitions, without a broker; to be called within a loop."""
    client, subscription = AIOKafkaClient(bootstrap_servers="127.0.0.1:9"), SubscriptionState()
    subscription.subscribe({"posts"})
    subscription.assign_from_subscribed(places)
    for tp in places:
        subscription.subscription.assignment.state_value(tp).seek(100)
    return client, subscription, Fetcher(client, subscription)


def test_a_partition_of_which_nothing_was_committed_begins_anew() -> None:
    async def act(consumer: BatchConsumer) -> None:
        places = [AioTopicPartition("posts", number) for number in range(4)]
        client, subscription, fetcher = _fetcher_of(places[:3])
        states = [subscription.subscription.assignment.state_value(tp) for tp in places[:3]]
        thread: Any = consumer._thread
        thread._consumer = SimpleNamespace(_fetcher=fetcher, assignment=subscription.assigned_partitions)

        async def committed() -> Mapping[Any, int | None]:
            return {places[0]: 40, places[1]: None, places[2]: 0, places[3]: None}

        async def here(act: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
            return await act(*args)

        thread.seek_to_committed, thread.call_thread = committed, here
        try:
            await consumer.seek_to_committed()
            assert [state.has_valid_position for state in states] == [True, False, False]
        finally:
            await fetcher.close()
            await client.close()

    driven(act)


def test_only_a_fetch_of_all_partitions_waits_long_for_news() -> None:
    async def waits() -> list[tuple[int, int]]:
        """How many partitions each of three fetches asks for, and how many milliseconds it waits."""
        places = [AioTopicPartition("posts", number) for number in range(3)]
        client, subscription, fetcher = _fetcher_of(places)
        cluster: Any = client.cluster
        cluster.leader_for_partition = lambda _tp: 1
        assignment = subscription.subscription.assignment
        consumer_thread._wait_by_what_is_asked(fetcher)
        found = []
        try:
            for held, paused in ((0, 0), (1, 0), (0, 1)):
                fetcher._records.update({tp: FetchError(error=None, backoff=0) for tp in places[:held]})
                for tp in places[:paused]:
                    assignment.state_value(tp).pause()
                [(_, request)] = fetcher._get_actions_per_node(assignment)[0]
                found.append((sum(len(asked) for _, asked in request.topics), request._max_wait_ms))
                fetcher._records.clear()
        finally:
            await fetcher.close()
            await client.close()
        return found

    short, long = consumer_thread.FETCH_WAIT_MS, consumer_thread.IDLE_FETCH_WAIT_MS
    assert asyncio.run(waits()) == [(3, long), (2, short), (2, short)]
