"""The rejected topic read as a list, and a second try for what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.event import decode_event
from pipeline.core.post import decode_post
from pipeline.core.rejection import Rejection, decode_rejection, payload_of


class Standing(Struct, frozen=True):
    """A rejection, and how often the same input was refused before and since."""

    rejection: Rejection
    attempts: int


def standing(bootstrap: str, topics: Topics) -> list[Standing]:
    """What is refused and not yet dealt with, oldest first."""
    found: dict[str, Standing] = {}
    for portion in read_topic(bootstrap, topics.rejected.name):
        for record in portion:
            key = record.key.decode()
            if record.value is None:
                found.pop(key, None)
                continue
            known = found.get(key)
            found[key] = Standing(decode_rejection(record.value), known.attempts + 1 if known else 1)
    return sorted(found.values(), key=lambda entry: entry.rejection.rejected_at)


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
    """Sends each where it came from once more and strikes it off; returns how many were sent.

    What would be refused again for the same reason stays; ``report`` hears of each that does.
    """
    sent = []
    for entry in entries:
        rejection = entry.rejection
        try:
            sent.append((rejection, _second_try(rejection, topics)))
        except RejectedError as error:
            report(rejection, str(error))
    producer.deliver([record for _, record in sent])
    # Struck off only when the second try is safely in Kafka.
    strikes = [Record(topics.rejected.name, rejection.id.encode(), None) for rejection, _ in sent]
    producer.deliver(strikes)
    return len(sent)


def _second_try(rejection: Rejection, topics: Topics) -> Record:
    if rejection.cut:
        raise RejectedError("its payload was too big to be kept whole; replay it from its source")
    raw = payload_of(rejection)
    if rejection.stage == "index":
        return Record(topics.events.name, decode_event(raw).post.id.encode(), raw)
    return Record(topics.posts.name, decode_post(raw).id.encode(), raw)
