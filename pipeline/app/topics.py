"""The topics: their names, partitions and policies, and how they come to be.

Keys are post ids in the topics of posts (rejections have their own id), so all states of a post share a
partition and keep their order. docs/adr/0004 gives the reasons for the policies.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.kafka_entrance import barrier
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.settings import KafkaSettings

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""The largest record the topics take; beyond it a post is rejected before it is sent."""

TOMBSTONE_DAYS = 30
"""How long the customers topic remembers that a customer is gone; the record holds their id and no more."""

_HOUR = 3600 * 1000
_DAY = 24 * _HOUR


class Topic(Struct, frozen=True):
    """A topic and its configuration, in Kafka's own words."""

    name: str
    config: dict[str, str]


class Topics(Struct, frozen=True):
    """All topics of an installation."""

    posts: Topic
    events: Topic
    changes: Topic
    rejected: Topic
    customers: Topic
    cases: Topic
    authors: Topic
    queue: Topic

    def queue_of(self, name: str) -> Topic:
        """The topic of notices about what a queue gets; ``queue`` is the beginning of the name of all."""
        return Topic(f"{self.queue.name}.{name}", self.queue.config)

    def all(self) -> tuple[Topic, ...]:
        """In the order of the way of a post; those of the queues depend on the rules, see `ensure_topics`."""
        return (
            self.posts,
            self.events,
            self.changes,
            self.rejected,
            self.customers,
            self.cases,
            self.authors,
        )


def topics_of(kafka: KafkaSettings) -> Topics:
    """Names and policies as the settings want them."""
    size = {"max.message.bytes": str(MAX_RECORD_BYTES), "message.timestamp.type": "LogAppendTime"}
    segment = {"segment.ms": str(kafka.segment_hours * _HOUR)}
    compact = {"max.compaction.lag.ms": str(kafka.compaction_lag_hours * _HOUR)}
    posts = {"cleanup.policy": "delete", "retention.ms": str(kafka.posts_days * _DAY)}
    rejected = {"cleanup.policy": "compact,delete", "retention.ms": str(kafka.rejected_days * _DAY)}
    return Topics(
        posts=Topic(f"{kafka.prefix}.posts", {**posts, **size, **segment}),
        events=Topic(f"{kafka.prefix}.events", {"cleanup.policy": "compact", **compact, **size, **segment}),
        changes=Topic(f"{kafka.prefix}.changes", {"cleanup.policy": "compact", **size, **segment}),
        rejected=Topic(f"{kafka.prefix}.rejected", {**rejected, **compact, **size, **segment}),
        # Key customer id: what the company's books say of each.
        customers=Topic(
            f"{kafka.prefix}.customers",
            {
                "cleanup.policy": "compact",
                "delete.retention.ms": str(TOMBSTONE_DAYS * _DAY),
                **compact,
                **size,
                **segment,
            },
        ),
        # Key case id and revision: who did what when, every step for good.
        cases=Topic(f"{kafka.prefix}.cases", {"cleanup.policy": "compact", **size, **segment}),
        # Key author id: whose memory is to be reckoned anew. Worked off within seconds.
        authors=Topic(f"{kafka.prefix}.authors", {**posts, **size, **segment}),
        # Key post id: notices of what a queue got, for whoever integrates. One topic a queue.
        queue=Topic(f"{kafka.prefix}.queue", {**posts, **size, **segment}),
    )


def admin_client(brokers: Brokers) -> KafkaAdminClient:
    """An administration client. RetryableError when Kafka does not answer within five seconds, or does not
    let us in, for that may be mended on its side; ConfigError where a certificate cannot be read."""
    try:
        return KafkaAdminClient(
            **brokers.for_kafka_python(),
            client_id="groundswell-admin",
            bootstrap_timeout_ms=5000,
            request_timeout_ms=10000,
        )
    except (KafkaError, OSError) as error:
        raise unreachable(brokers) from error


def unreachable(brokers: Brokers) -> RetryableError:
    """The sentence for a Kafka that no client can be made of: why it lets nobody in, if it answers at all."""
    return RetryableError(
        barrier(brokers)
        or f"Kafka does not answer at {brokers}: start it (`groundswell up` for the embedded one) "
        "or set kafka.bootstrap"
    )


def ensure_topics(brokers: Brokers, kafka: KafkaSettings, queues: Iterable[str] = ()) -> Topics:
    """Creates what is missing and brings policies up to date, also for the notices of ``queues``; returns
    the topics.

    Raises ConfigError when a topic has another number of partitions than the settings say: to add
    some would part the states of a post, so a person must choose. RetryableError when Kafka is away.
    """
    topics = topics_of(kafka)
    wanted = [*topics.all(), *map(topics.queue_of, queues)]
    admin = admin_client(brokers)
    try:
        found = {entry["name"]: len(entry["partitions"]) for entry in admin.describe_topics()}
        missing = [topic for topic in wanted if topic.name not in found]
        _create(admin, missing, kafka)
        for topic in wanted:
            _check_partitions(topic.name, found.get(topic.name, kafka.partitions), kafka.partitions)
        _align(admin, [topic for topic in wanted if topic.name in found])
    except KafkaError as error:
        raise RetryableError(f"Kafka at {brokers} could not prepare the topics: {error}") from error
    finally:
        admin.close()
    return topics


def _create(admin: KafkaAdminClient, missing: list[Topic], kafka: KafkaSettings) -> None:
    for topic in missing:
        wanted = {
            "num_partitions": kafka.partitions,
            "replication_factor": kafka.replication,
            "configs": topic.config,
        }
        # Another process may be quicker; its topics are as the same settings want them.
        with suppress(TopicAlreadyExistsError):
            admin.create_topics({topic.name: wanted}, wait_for_metadata=True)


def _check_partitions(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ConfigError(
            f"topic {name} has {found} partitions, but kafka.partitions is {wanted}: set it to {found}, or "
            "choose another kafka.prefix and replay, for a post must not change its partition"
        )


def _align(admin: KafkaAdminClient, existing: list[Topic]) -> None:
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name, topic.config) for topic in existing]
    if resources:
        admin.alter_configs(resources)
