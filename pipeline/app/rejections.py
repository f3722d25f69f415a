"""The rejected topic read as a list, and a second try for what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.event import decode_event
from pipeline.core.headers import OPERATION
from pipeline.core.post import decode_post, encode_post
from pipeline.core.rejection import (
    STRIKE,
    Rejection,
    Strike,
    decode_rejection,
    decode_strike,
    encode_strike,
    payload_of,
)
from pipeline.core.version import unpack


class Standing(Struct, frozen=True):
    """A rejection, how often its input was refused, and where the last refusal stands in its partition."""

    rejection: Rejection
    attempts: int
    offset: int


def told(brokers: Brokers, topics: Topics) -> Iterator[tuple[int, Rejection | Strike]]:
    """Offset and content of every record of the rejected topic, those of an id in their order.

    Raises RetryableError when Kafka is away.
    """
    for portion in read_topic(brokers, topics.rejected.name):
        for record in portion:
            if record.value is None:
                continue
            strike = record.key.endswith(STRIKE.encode())
            yield record.offset, decode_strike(record.value) if strike else decode_rejection(record.value)


def standing(brokers: Brokers, topics: Topics) -> list[Standing]:
    """What is refused and not yet dealt with, oldest first."""
    found: dict[str, Standing] = {}
    struck: dict[str, int] = {}
    for offset, entry in told(brokers, topics):
        if isinstance(entry, Strike):
            struck[entry.id] = max(entry.offset, struck.get(entry.id, -1))
            continue
        known = found.get(entry.id)
        found[entry.id] = Standing(entry, known.attempts + 1 if known else 1, offset)
    left = [entry for entry in found.values() if entry.offset > struck.get(entry.rejection.id, -1)]
    return sorted(left, key=lambda entry: entry.rejection.rejected_at)


def chosen(
    entries: Iterable[Standing],
    *,
    ids: Iterable[str] = (),
    reason: str | None = None,
    stage: str | None = None,
) -> list[Standing]:
    """Those with one of the ids (or a beginning of one), the reason and the stage, where given."""
    starts = tuple(ids)
    return [
        entry
        for entry in entries
        if (not starts or entry.rejection.id.startswith(starts))
        and (reason is None or entry.rejection.reason == reason)
        and (stage is None or entry.rejection.stage == stage)
    ]


def retry(
    entries: Iterable[Standing], topics: Topics, producer: Producer, report: Callable[[Rejection, str], None]
) -> int:
    """Sends each into the posts topic once more and strikes it off; returns how many were sent.

    What would be refused again for the same reason stays; ``report`` hears of each that does.
    """
    sent = []
    for entry in entries:
        try:
            sent.append((entry, _second_try(entry.rejection, topics)))
        except RejectedError as error:
            report(entry.rejection, str(error))
    producer.deliver([record for _, record in sent])
    # Struck off only when the second try is safely in Kafka.
    producer.deliver([_strike(entry, topics) for entry, _ in sent])
    return len(sent)


def _strike(entry: Standing, topics: Topics) -> Record:
    strike = Strike(entry.rejection.id, entry.offset)
    return Record(topics.rejected.name, f"{strike.id}{STRIKE}".encode(), encode_strike(strike))


def _second_try(rejection: Rejection, topics: Topics) -> Record:
    if rejection.cut:
        raise RejectedError("its payload was too big to be kept whole; replay it from its source")
    if rejection.stage == "directory":
        raise RejectedError("customers are mended in their file: import it again")
    raw, operation = payload_of(rejection), rejection.operation
    if rejection.stage == "index":
        # Through enrich once more, which knows whether a newer state of the post is out by now.
        event = decode_event(raw)
        raw, operation = encode_post(event.post), unpack(event.version)[1]
    key = decode_post(raw).id.encode()
    # The same state under the same version, or the audit would miss the refused one.
    return Record(topics.posts.name, key, raw, ((OPERATION, str(operation)),) if operation else ())
