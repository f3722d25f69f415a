"""A backup of the log: what every key of the compacted topics says last, and the posts on their way.

Read beside a running installation. The order matters: the place of enrich first and the posts last, so that a
post that moves on meanwhile is in one of the two, or in both, which is harmless.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from pipeline.app.backup.form import MANIFEST, Manifest, Part, digest, encode_record, key_digest
from pipeline.app.backup.unfinished import remove_rests, unfinished
from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import LogRecord, read_topic
from pipeline.app.offsets import Span, spans
from pipeline.app.site import group
from pipeline.app.topics import Topic, admin_client, topics_of
from pipeline.core.errors import ConfigError
from pipeline.core.post import SCHEMA
from pipeline.core.settings import Settings

log = logging.getLogger("groundswell.backup")


def back_up(brokers: Brokers, settings: Settings, folder: Path, now: datetime) -> Path:
    """Writes a backup into a new folder below ``folder``, which it returns; nothing is there under that name
    before all of it is. Only its owner may read it.

    Raises ConfigError where the folder cannot be written to, RetryableError when Kafka is away.
    """
    whole = folder / f"{settings.kafka.prefix}-{now:%Y.%m.%d-%H.%M.%S}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rest in remove_rests(folder, settings.kafka.prefix, now):
            log.warning("%s was left by a backup that was killed, and is removed", rest)
        with unfinished(whole) as partial:
            _write(brokers, settings, partial, now)
            partial.rename(whole)
            _sync_folder(folder)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror}: no backup was made") from error
    return whole


def _write(brokers: Brokers, settings: Settings, folder: Path, now: datetime) -> None:
    topics = topics_of(settings.kafka)
    admin = admin_client(brokers)
    try:
        waiting = spans(admin, topics.posts.name, group(settings, "enrich"))
        kept = (topics.events, topics.changes, topics.customers, topics.cases, topics.rejected)
        ends = {topic.name: spans(admin, topic.name, None) for topic in kept}
    finally:
        admin.close()
    prefix = settings.kafka.prefix
    parts = [
        _part(folder, prefix, topic, ends[topic.name], newest(brokers, topic.name, ends[topic.name]))
        for topic in kept
    ]
    start = {number: span.committed for number, span in waiting.items()}
    on_the_way = (
        record for portion in read_topic(brokers, topics.posts.name, start=start) for record in portion
    )
    parts.append(_part(folder, prefix, topics.posts, waiting, on_the_way))
    manifest = Manifest(
        created=now,
        groundswell=_own_version(),
        kafka_prefix=prefix,
        elasticsearch_prefix=settings.elasticsearch.prefix,
        schema=SCHEMA,
        parts=tuple(parts),
    )
    with _created(folder / MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        _sync(file)
    _sync_folder(folder)


def newest(brokers: Brokers, topic: str, ends: Mapping[int, Span]) -> Iterator[LogRecord]:
    """Of every key the record that came last, unless that is a tombstone; each partition in order.

    Holds a digest of each key of one partition, some 130 bytes. What a topic still holds of texts that were
    replaced or deleted, and are not compacted yet, is left out.
    """
    for number, span in sorted(ends.items()):
        last: dict[bytes, int] = {}
        for portion in read_topic(brokers, topic, number):
            for record in portion:
                last[key_digest(record.key)] = record.offset
        # A key that has a newer record since may have lost the one that we saw: then the newer one is taken.
        for portion in read_topic(brokers, topic, number):
            for record in portion:
                is_last = last.get(key_digest(record.key)) == record.offset
                if record.value is not None and (is_last or record.offset >= span.after):
                    yield record


def _part(
    folder: Path, prefix: str, topic: Topic, ends: Mapping[int, Span], records: Iterator[LogRecord]
) -> Part:
    name = topic.name.removeprefix(f"{prefix}.")
    path = folder / f"{name}.jsonl.zst"
    count = 0
    with _created(path) as file:
        with zstandard.ZstdCompressor(level=6).stream_writer(file, closefd=False) as packed:
            for record in records:
                packed.write(encode_record(record) + b"\n")
                count += 1
        _sync(file)
    with path.open("rb") as file:
        sha256 = digest(file)
    after = {number: span.after for number, span in ends.items()}
    return Part(name, path.name, count, path.stat().st_size, sha256, after)


def _created(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _own_version() -> str:
    try:
        return version("groundswell")
    except PackageNotFoundError:
        return "not installed"
