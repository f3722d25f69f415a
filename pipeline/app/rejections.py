"""The rejected topic read as a list, and a second try for what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.event import decode_event
from pipeline.core.headers import OPERATION
from pipeline.core.post import Post, decode_post, encode_post
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


class Refused(Struct, frozen=True):
    """The last rejection of an input, how often it was refused, when first, and where the last refusal
    stands in its partition. ``mended`` is a post to be sent in place of the input."""

    rejection: Rejection
    attempts: int
    first_at: datetime
    offset: int
    mended: Post | None = None


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


def standing(brokers: Brokers, topics: Topics) -> list[Refused]:
    """What is refused and not yet dealt with, oldest first."""
    found: dict[str, Refused] = {}
    struck: dict[str, Strike] = {}
    for offset, entry in told(brokers, topics):
        if isinstance(entry, Strike):
            before = struck.get(entry.id)
            if before is None or entry.offset >= before.offset:
                struck[entry.id] = entry
            continue
        known = found.get(entry.id)
        first = known.first_at if known else entry.rejected_at
        found[entry.id] = Refused(entry, known.attempts + 1 if known else 1, first, offset)
    left = [_since(entry, struck.get(entry.rejection.id)) for entry in found.values()]
    return sorted((one for one in left if one), key=lambda entry: entry.rejection.rejected_at)


def _since(entry: Refused, strike: Strike | None) -> Refused | None:
    """With what the strike remembers of earlier refusals; None where they were the last."""
    if strike is None:
        return entry
    if entry.offset <= strike.offset:
        return None
    return replace(
        entry,
        attempts=max(entry.attempts, strike.attempts + 1),
        first_at=min(entry.first_at, strike.first_at or entry.first_at),
    )


def chosen(
    entries: Iterable[Refused],
    *,
    ids: Iterable[str] = (),
    reason: str | None = None,
    stage: str | None = None,
) -> list[Refused]:
    """Those with one of the ids (or a beginning of one), the reason and the stage, where given."""
    starts = tuple(ids)
    return [
        entry
        for entry in entries
        if (not starts or entry.rejection.id.startswith(starts))
        and (reason is None or entry.rejection.reason == reason)
        and (stage is None or entry.rejection.stage == stage)
    ]


def post_in(rejection: Rejection) -> Post:
    """The refused post, to be mended or tried again. Raises RejectedError where it is none, or not whole."""
    if rejection.cut:
        raise RejectedError("its payload was too big to be kept whole; replay it from its source")
    if rejection.stage == "directory":
        raise RejectedError("customers are mended in their file: import it again")
    raw = payload_of(rejection)
    return decode_event(raw).post if rejection.stage == "index" else decode_post(raw)


def mended(
    entries: Iterable[Refused], lines: Iterable[bytes], report: Callable[[str, str], None]
) -> Iterator[Refused]:
    """The rejections that JSON Lines of ``id`` and ``post`` name, each with the post to send in its place.

    ``report`` hears of each line that is no such thing: where it stands, and why.
    """
    by_id = {entry.rejection.id: entry for entry in entries}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            mend = _decode_mend(line)
            entry = by_id.get(mend.id)
            if entry is None:
                raise RejectedError(f"no rejection with the id `{mend.id}` stands here")
            yield replace(entry, mended=decode_post(bytes(mend.post)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            report(f"line {number}", str(error))
        except RecursionError:
            report(f"line {number}", "no valid JSON: nested too deeply")
        except RejectedError as error:
            report(f"line {number}", str(error))


def retry(
    entries: Iterable[Refused],
    topics: Topics,
    producer: Producer | None,
    report: Callable[[Rejection, str], None],
) -> int:
    """Sends each into the posts topic once more and strikes it off; returns how many were sent.

    What would be refused again for the same reason stays; ``report`` hears of each that does. Without a
    producer nothing is sent: the number is of those that would be.
    """
    sent = []
    for entry in entries:
        try:
            sent.append((entry, _second_try(entry, topics)))
        except RejectedError as error:
            report(entry.rejection, str(error))
    if producer is not None:
        producer.deliver([record for _, record in sent])
        # Struck off only when the second try is safely in Kafka.
        producer.deliver([_strike(entry, topics) for entry, _ in sent])
    return len(sent)


def _strike(entry: Refused, topics: Topics) -> Record:
    strike = Strike(entry.rejection.id, entry.offset, entry.attempts, entry.first_at)
    return Record(topics.rejected.name, f"{strike.id}{STRIKE}".encode(), encode_strike(strike))


def _second_try(entry: Refused, topics: Topics) -> Record:
    rejection, operation = entry.rejection, entry.rejection.operation
    post = entry.mended or post_in(rejection)
    if rejection.stage == "index":
        # Through enrich once more, which knows whether a newer state of the post is out by now.
        operation = unpack(decode_event(payload_of(rejection)).version)[1]
    as_sent = entry.mended is None and rejection.stage != "index"
    raw = payload_of(rejection) if as_sent else encode_post(post)
    # The same state under the same version, or the audit would miss the refused one.
    headers = ((OPERATION, str(operation)),) if operation else ()
    return Record(topics.posts.name, post.id.encode(), raw, headers)


class _Mend(Struct, frozen=True):
    id: str
    post: msgspec.Raw


_decode_mend = msgspec.json.Decoder(_Mend).decode
