"""Two enrich workers beside one, on the same posts.

The posts come once every worker has its partitions, so no rebalance is counted. What counts is the time in
which all workers are at work: from the end of loading, which takes a core as well, to when the first of them
has nothing left.
"""

from __future__ import annotations

from collections import defaultdict

from bench import Bench
from child import cpu_seconds
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from msgspec import Struct
from outputs import Ends, Watch, WrongOutput
from posts import lines_of, load, varied
from rows import Row

from pipeline.app.log_reader import read_topic
from pipeline.app.site import group
from pipeline.app.topics import topics_of
from testkit.installation import Installation
from testkit.waiting import until

GOAL = 1.5
SAME = 1.1
"""CPU a post of two workers, times that of one: no growth but for what a busy machine's caches make of it."""


class _Run(Struct, frozen=True):
    rate: float
    cpu: float


def workers(bench: Bench, count: int, rounds: int) -> list[Row]:
    """Runs both so many times, turn by turn; the best of each counts."""
    found = varied(count)
    ids, lines = [post["id"] for post in found], lines_of(found)
    del found
    runs: dict[int, list[_Run]] = defaultdict(list)
    for number in range(rounds):
        for size in (1, 2):
            runs[size].append(_run(bench, f"workers-{size}-{number}", size, ids, lines))
    rate = {size: max(run.rate for run in some) for size, some in runs.items()}
    cpu = {size: min(run.cpu for run in some) for size, some in runs.items()}
    area = "workers"
    return [
        Row(area=area, what="two enrich workers: posts/s", beside="one", got=rate[2] / rate[1], goal=GOAL),
        Row(
            area=area,
            what="two enrich workers: CPU a post",
            beside="one",
            got=cpu[2] / cpu[1],
            goal=SAME,
            at_most=True,
        ),
    ]


def _run(bench: Bench, name: str, size: int, ids: list[str], lines: list[bytes]) -> _Run:
    first = bench.install(name, (), ())
    homes = [first, *(bench.beside(first, f"{name}-{number}") for number in range(1, size))]
    topics = topics_of(first.settings.kafka)
    daemons = [home.daemon("enrich") for home in homes]
    ends = Ends(bench.kafka, topics.events.name)
    try:
        admin = AdminClient({**bench.kafka.for_confluent(), "log_level": 0})
        until(lambda: len(_shares(admin, first)) == size, 180, "every worker has partitions")
        shares = _shares(admin, first)
        load(bench.kafka, topics.posts.name, ids, lines)
        loaded = max(r.timestamp for portion in read_topic(bench.kafka, topics.posts.name) for r in portion)

        def spent() -> float:
            return sum(cpu_seconds(daemon.pid) for daemon in daemons)

        def alive() -> None:
            for daemon in daemons:
                daemon.check()

        watch = Watch(ends.count, spent, alive)
        watch.until(len(ids), 0.1)
    finally:
        ends.close()
        for home in homes:
            home.close()
    rate = _rate(bench, topics.events.name, shares, loaded, len(ids))
    return _Run(rate, watch.cpu / max(watch.cpu_posts, 1))


def _rate(bench: Bench, topic: str, shares: list[frozenset[int]], loaded: int, count: int) -> float:
    """Posts a second while all workers are at work; WrongOutput where not every post came out once."""
    times: dict[int, list[int]] = defaultdict(list)
    keys: set[bytes] = set()
    for portion in read_topic(bench.kafka, topic):
        for record in portion:
            times[record.partition].append(record.timestamp)
            keys.add(record.key)
    if not len(keys) == sum(map(len, times.values())) == count:
        raise WrongOutput(f"{topic}: {len(keys)} posts came out of {count} that went in")
    over = min(max(time for partition in share for time in times[partition]) for share in shares)
    within = sum(loaded < time <= over for some in times.values() for time in some)
    if over - loaded < 1000:
        raise WrongOutput(f"{topic}: {count} posts are too few, all workers were at work for less than 1 s")
    return within / (over - loaded) * 1000


def _shares(admin: AdminClient, installation: Installation) -> list[frozenset[int]]:
    """The posts topic's partitions of each member of the group that has any; none until all are given."""
    name = group(installation.settings, "enrich")
    try:
        members = admin.describe_consumer_groups([name])[name].result(10).members
    except KafkaException:
        return []
    topic = topics_of(installation.settings.kafka).posts.name
    shares = [
        frozenset(one.partition for one in member.assignment.topic_partitions if one.topic == topic)
        for member in members
    ]
    whole = sum(map(len, shares)) == installation.settings.kafka.partitions
    return [share for share in shares if share] if whole else []
