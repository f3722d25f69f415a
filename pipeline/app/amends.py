"""Makes good what was sent too late: posts whose newest state may no longer be the last in the log.

A process that was stopped for longer than the group waits sends, once it goes on, what lay ready in its
producer, while another holds its partitions and may have published newer states of the same posts, or the
same ones by a newer directory of customers or newer rules. The log of events keeps of each post what came
last. So the newest state that the posts topic has of each such post is put there once more: whoever holds
the partition now publishes it again, behind what was late, or passes over it where it has published a newer
one.

What may be late is noted in the home until that is done, so that a death in between costs nothing.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import LogRecord, read_topic
from pipeline.app.producer import Record
from pipeline.core.errors import RejectedError
from pipeline.core.headers import operation_of
from pipeline.core.post import decode_post
from pipeline.core.version import version_of

log = logging.getLogger("groundswell.amends")

FOLDER = "late"
"""Of the home: where the notes are."""

_NAME = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)\Z")


class Late(Struct, frozen=True):
    """Posts that may have been sent too late: of a partition, those of the offsets from ``first`` up to, not
    including, ``after``."""

    partition: int
    first: int
    after: int


Amends = Callable[[Sequence[Late]], list[Record]]
"""What to send once all of these were sent that were no longer ours. RetryableError when Kafka is away."""


def none(_late: Sequence[Late]) -> list[Record]:
    """For whoever nobody shares partitions with."""
    return []


class LateNotes:
    """What may be late and is not made good yet: an empty file each, whose name says all. Where two processes
    share the home, both may make the same amends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[Late] = set()

    def enter(self, late: Late) -> None:
        """Notes it, where it is not noted already. A home that takes no files is told and stops nothing."""
        if late in self._known:
            return
        self._known.add(late)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file(late).touch()
        except OSError as error:
            log.warning("what may be sent too late cannot be noted in %s: %s", self._folder, error.strerror)

    def strike(self, late: Late) -> None:
        """It is made good, or was not late; nothing where it was not noted."""
        if late in self._known:
            self._known.discard(late)
            with suppress(OSError):  # it is made good once more, then
                self._file(late).unlink()

    def left(self) -> list[Late]:
        """All that is noted, by whichever process."""
        files = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        named = (_NAME.match(file.name) for file in files)
        found = [Late(*map(int, name.groups())) for name in named if name]
        self._known.update(found)
        return found

    def _file(self, late: Late) -> Path:
        return self._folder / f"{late.partition}.{late.first}.{late.after}"


def amends(brokers: Brokers, topic: str, late: Sequence[Late]) -> list[Record]:
    """See :data:`Amends`; ``topic`` is that of the posts. Reads each partition once, from the first of its
    late posts to its end."""
    together: defaultdict[int, list[Late]] = defaultdict(list)
    for one in late:
        together[one.partition].append(one)
    return [one for spans in together.values() for one in _overtaken(brokers, topic, spans)]


def _overtaken(brokers: Brokers, topic: str, late: Sequence[Late]) -> list[Record]:
    partition = late[0].partition
    start = {partition: min(one.first for one in late)}
    there = (one for portion in read_topic(brokers, topic, partition, start=start) for one in portion)
    found = newest(there, late)
    log.warning(
        "%s-%d may have gone to another process while %d posts of it were being sent; they are enriched once"
        " more",
        topic,
        partition,
        len(found),
    )
    return [Record(topic, one.key, one.value, one.headers) for one in found]


def newest(there: Iterable[LogRecord], late: Sequence[Late]) -> list[LogRecord]:
    """Of each post that is late, the newest state that lies there or behind it."""
    sent: set[bytes] = set()
    found: dict[bytes, tuple[int, LogRecord]] = {}
    for one in there:
        if any(span.first <= one.offset < span.after for span in late):
            sent.add(one.key)
        elif one.key not in sent:
            continue
        try:
            version = version_of(decode_post(one.value or b""), operation_of(one.headers))
        except RejectedError:
            continue
        if version >= found.get(one.key, (-1,))[0]:
            found[one.key] = version, one
    return [one for _, one in found.values()]
