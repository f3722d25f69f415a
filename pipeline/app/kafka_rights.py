"""Which rights each role needs of Kafka, and which of them are missing.

The one table of least rights: the roles hold themselves against it before they begin, `check --servers`
shows what is missing, and docs/security.md is held to it by a test. A client that lacks a right on a topic
says nothing at all, or waits for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.coordinator import answered
from pipeline.app.topics import Topic, Topics, admin_client, denial, described
from pipeline.core.errors import RetryableError
from pipeline.core.settings import KafkaSettings

ALL = ("DESCRIBE", "DESCRIBE_CONFIGS")
"""What every role and every command needs of every topic: to see it, and how long it keeps what."""

ROLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "collect": {"posts": ("WRITE",), "rejected": ("WRITE",)},
    # It writes to the first where it makes amends: what it sent too late is to be enriched once more.
    "enrich": {
        "posts": ("READ", "WRITE"),
        "events": ("WRITE",),
        "changes": ("READ", "WRITE"),
        "rejected": ("WRITE",),
        "queue": ("WRITE",),
    },
    # It writes to the first two where it tidies: what retention drops gets a tombstone there.
    "index": {
        "events": ("READ", "WRITE"),
        "changes": ("READ", "WRITE"),
        "cases": ("READ", "WRITE"),
        "authors": ("WRITE",),
        "rejected": ("WRITE",),
    },
    "directory": {
        "customers": ("READ",),
        "authors": ("READ",),
        "posts": ("WRITE",),
        "rejected": ("WRITE",),
    },
}
"""By role: topic to what it does with it. The topics of all queues are one, `queue`."""

GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "collect": {},
    "enrich": {"enrich": ("READ",), "reader": ("DESCRIBE",)},
    "index": {"index": ("READ",), "reader": ("DESCRIBE",)},
    "directory": {
        "directory": ("READ",),
        "reader": ("DESCRIBE",),
        "enrich": ("DESCRIBE",),
        "index": ("DESCRIBE",),
    },
}
"""By role: consumer group, without the prefix, to what it does with it. READ implies DESCRIBE."""

MAKING = ("CREATE", "ALTER_CONFIGS")
"""What whoever makes the topics needs beside; where they stand as wanted, nobody."""


class Needs(Struct, frozen=True):
    """Names of topics and of groups to the operations on them."""

    topics: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]


def needs(roles: Iterable[str], topics: Topics, kafka: KafkaSettings, queues: Iterable[str] = ()) -> Needs:
    """What these roles need; `queues` are the names of those that enrich writes notices for."""
    wanted = {topic.name: set(ALL) for topic in topics.all()}
    groups: dict[str, set[str]] = {}
    for role in roles:
        for attribute, operations in ROLES[role].items():
            found: Topic = getattr(topics, attribute)
            named = [topics.queue_of(queue) for queue in queues] if attribute == "queue" else [found]
            for topic in named:
                wanted.setdefault(topic.name, set(ALL)).update(operations)
        for name, operations in GROUPS[role].items():
            groups.setdefault(f"{kafka.prefix}-{name}", set()).update(operations)
    return Needs(
        {name: tuple(sorted(operations)) for name, operations in wanted.items()},
        {name: tuple(sorted(operations)) for name, operations in groups.items()},
    )


def lacking(admin: KafkaAdminClient, needs: Needs, username: str) -> list[str]:
    """A sentence for each topic and group on which rights are missing. Raises KafkaError."""
    found = []
    for name, topic in described(admin, needs.topics).items():
        held = topic["authorized_operations"]
        if held is None and topic["error_code"] != TopicAuthorizationFailedError.errno:
            continue  # a broker that does not tell them
        if missing := [operation for operation in needs.topics[name] if operation not in (held or ())]:
            found.append(denial(username, "topic", name, missing))
    for name, wanted in needs.groups.items():
        if missing := [operation for operation in wanted if _denied(admin, name, operation)]:
            found.append(denial(username, "group", name, missing))
    return found


def demand(brokers: Brokers, needs: Needs) -> None:
    """Raises RetryableError that names every missing right, or says that Kafka is away."""
    admin = admin_client(brokers)
    try:
        found = lacking(admin, needs, brokers.settings.username)
    except KafkaError as error:
        raise RetryableError(f"Kafka at {brokers} does not tell our rights: {error}") from error
    finally:
        admin.close()
    if found:
        raise RetryableError("; ".join(found))


def _denied(admin: KafkaAdminClient, group: str, operation: str) -> bool:
    """Of groups that nobody has joined yet Kafka tells no rights; so it is asked for what does nothing."""
    try:
        if operation == "DESCRIBE":
            answered(lambda: admin.list_group_offsets(group))
        else:
            nobody = MemberToRemove(member_id="groundswell-nobody")
            answered(lambda: admin.remove_group_members(group, [nobody]))
    except GroupAuthorizationFailedError:
        return True
    return False
