"""A snapshot of the index brought back, and brought up to date from the log: then it is what a rebuild makes.

The snapshot knows how far the role index had come when it began. All that the log says since is written once
more, which versions make harmless; and what the log does not know any more is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from pipeline.app.backup.form import key_digest
from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import read_topic
from pipeline.app.offsets import spans
from pipeline.app.reconstruction import Log, Reconstructed, reconstruct
from pipeline.app.scan import scan
from pipeline.app.site import group
from pipeline.app.topics import admin_client, described
from pipeline.core.errors import FatalError, RetryableError
from pipeline.core.index_name import alias
from pipeline.core.settings import Settings
from sinks import elastic, months
from sinks.elastic import ElasticSink
from sinks.snapshots import Repository, Snapshot
from sinks.store import Store

_PAGE = 10_000


def place(brokers: Brokers, settings: Settings, topic: str) -> tuple[dict[int, int], str]:
    """How far the role index has come in the topic of events, by partition, and the id of that topic."""
    admin = admin_client(brokers)
    try:
        reached = spans(admin, topic, group(settings, "index"))
        return {number: span.committed for number, span in reached.items()}, _id_of(admin, topic)
    finally:
        admin.close()


def make(log: Log, repository: Repository, settings: Settings, now: datetime) -> str:
    """Makes a snapshot; returns its name."""
    repository.check()
    offsets, topic = place(log.brokers, settings, log.topics.events.name)
    return repository.make(now, offsets, topic)


def bring_back(
    log: Log, repository: Repository, snapshot: Snapshot, sink: ElasticSink, settings: Settings
) -> Reconstructed:
    """Drops the indices, restores those of the snapshot, and catches up with the log.

    Raises FatalError where a role index is at work, for it would write into the indices meanwhile, or where
    the snapshot is not whole.
    """
    if snapshot.state != "SUCCESS":
        raise FatalError(f"the snapshot {snapshot.name} is {snapshot.state}: choose another")
    _check_nobody_writes(log.brokers, group(settings, "index"))
    prefix = settings.elasticsearch.prefix
    elastic.drop(sink.client, prefix)
    Store(sink.client, settings.elasticsearch, "answers").drop()
    repository.bring_back(snapshot)
    # Before authors are reckoned from the posts.
    _take_out_strangers(log, sink, prefix)
    start = _start(log, settings, snapshot)
    return reconstruct(log, sink, settings, lambda _: None, keep=True, start=start)


def _start(log: Log, settings: Settings, snapshot: Snapshot) -> Mapping[int, int]:
    """The place of the snapshot; the start of the log where that is another topic than it was."""
    offsets, topic = place(log.brokers, settings, log.topics.events.name)
    same = topic == snapshot.topic and offsets.keys() == snapshot.offsets.keys()
    return snapshot.offsets if same else {}


def _check_nobody_writes(brokers: Brokers, name: str) -> None:
    admin = admin_client(brokers)
    try:
        members = admin.describe_groups([name])[name]["members"]
    except KafkaError as error:
        raise RetryableError(f"Kafka did not tell who is in the group {name}: {error}") from error
    finally:
        admin.close()
    if members:
        raise FatalError(
            f"the role index is at work, in {len(members)} processes: end it before a snapshot is restored"
            " (one that was killed counts for ten seconds more)"
        )


def _id_of(admin: KafkaAdminClient, topic: str) -> str:
    return str(described(admin, [topic])[topic].get("topic_id", ""))


def _take_out_strangers(log: Log, sink: ElasticSink, prefix: str) -> int:
    """Deletes the posts that were purged from the log since the snapshot; returns how many."""
    known: set[bytes] = set()
    for portion in read_topic(log.brokers, log.topics.events.name):
        for record in portion:
            (known.discard if record.value is None else known.add)(key_digest(record.key))
    count = 0
    for page in scan(sink.client, f"{alias(prefix)}-*", {"match_all": {}}, _PAGE, source=False):
        hits = [hit for hit in page if key_digest(hit["_id"].encode()) not in known]
        for index in {hit["_index"] for hit in hits}:
            months.reopen(sink.client, prefix, index)
        months.erase(sink.client, hits)
        count += len(hits)
    return count
