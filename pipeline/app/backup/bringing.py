"""A backup of the log brought back into the topics of an installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.app.backup.form import Manifest, Part, key_digest, records
from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import LogRecord, read_topic
from pipeline.app.offsets import spans
from pipeline.app.producer import Record
from pipeline.app.reconstruction import Log
from pipeline.app.topics import Topics, admin_client
from pipeline.core.errors import ConfigError, RejectedError
from pipeline.core.event import decode_event
from pipeline.core.portions import portions
from pipeline.core.retention import Expiry
from pipeline.core.settings import Settings

_PORTION = 5000


def check_fit(manifest: Manifest, settings: Settings) -> None:
    """Raises ConfigError where the backup is of indices with other names."""
    if manifest.elasticsearch_prefix != settings.elasticsearch.prefix:
        raise ConfigError(
            f"the backup is of the indices {manifest.elasticsearch_prefix}-…, and its events name them: set"
            f" elasticsearch.prefix to {manifest.elasticsearch_prefix}"
        )


def holding(brokers: Brokers, topics: Topics, manifest: Manifest) -> list[str]:
    """Those topics of the backup that hold something already."""
    admin = admin_client(brokers)
    try:
        return [
            name
            for name in (_topic(topics, part) for part in manifest.parts)
            if any(span.after > span.first for span in spans(admin, name, None).values())
        ]
    finally:
        admin.close()


def bring_back(log: Log, folder: Path, manifest: Manifest, expiry: Expiry) -> dict[str, int]:
    """Sends all records; returns how many by topic. Of a key that a topic knows already nothing is sent, for
    the log knows better: also of one that it knows to be deleted. Nor what is past its time.

    May be repeated. Raises FatalError where a file is damaged, RetryableError when Kafka is away.
    """
    brokers, topics, producer = log
    sent: dict[str, int] = {}
    for part in manifest.parts:
        name = _topic(topics, part)
        known = set() if name == topics.posts.name else _known(brokers, name)
        chosen = (
            Record(name, record.key, record.value, record.headers)
            for record in _chosen(folder, part, expiry if name == topics.events.name else Expiry())
            if key_digest(record.key) not in known
        )
        sent[name] = 0
        for portion in portions(chosen, _PORTION):
            producer.deliver(portion)
            sent[name] += len(portion)
    return sent


def _topic(topics: Topics, part: Part) -> str:
    prefix = topics.posts.name.removesuffix(".posts")
    name = f"{prefix}.{part.topic}"
    if name not in {topic.name for topic in topics.all()}:
        raise ConfigError(f"the backup has a topic `{part.topic}`, which this Groundswell does not know")
    return name


def _known(brokers: Brokers, topic: str) -> set[bytes]:
    return {key_digest(record.key) for portion in read_topic(brokers, topic) for record in portion}


def _chosen(folder: Path, part: Part, expiry: Expiry) -> Iterator[LogRecord]:
    for record in records(folder, part):
        if not (expiry != Expiry() and _is_past(record, expiry)):
            yield record


def _is_past(record: LogRecord, expiry: Expiry) -> bool:
    try:
        return expiry.event(decode_event(record.value or b""))
    except RejectedError:
        return False
