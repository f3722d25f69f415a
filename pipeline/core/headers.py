"""What a record of the posts topic may say beside the post: pure, both ways.

``operation`` is the number of the re-enrichment or re-linking that sent the post once more; ``directory``
is how far the directory of customers must have come before the post is linked anew; ``routes`` are the
routes that a post had which is enriched once more or linked anew, ``queues`` whether it may come to more of
them. Only Groundswell writes them: a header that cannot be read counts as none, for nothing that somebody
said is to be refused for what stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from pipeline.core.event import Route
from pipeline.core.rerouting import Before
from pipeline.core.version import MAX_OPERATION

OPERATION = "operation"
DIRECTORY = "directory"
ROUTES = "routes"
QUEUES = "queues"
HELD, BY_CUSTOMER, OPEN = "held", "customer", "open"

Headers = Iterable[tuple[str, "str | bytes | None"]]

_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_decode_routes = msgspec.json.Decoder(tuple[Route, ...]).decode
_PLACE = re.compile(r"([0-9]{1,9}):([0-9]{1,18})\Z")


def operation_of(headers: Headers) -> int:
    """The operation under which the post came, 0 where none is told or none can be read."""
    if not headers:
        return 0  # as with most records
    text = _text(headers, OPERATION)
    if not _NUMBER.match(text):
        return 0
    number = int(text)
    return number if number <= MAX_OPERATION else 0


def places_of(headers: Headers) -> dict[int, int]:
    """Partition of the customers topic to the offset that the directory must be past; empty where none."""
    found: dict[int, int] = {}
    for part in _text(headers, DIRECTORY).split(","):
        if place := _PLACE.match(part):
            found[int(place[1])] = max(int(place[2]), found.get(int(place[1]), -1))
    return found


def once_more(operation: int, before: Before) -> tuple[tuple[str, str], ...]:
    """The headers of a post that is enriched once more, and had these routes before."""
    routes = msgspec.json.encode(before.routes).decode()
    queues = (BY_CUSTOMER if before.by_customer else HELD) if before.held else OPEN
    return (OPERATION, str(operation)), (ROUTES, routes), (QUEUES, queues)


def again(operation: int, places: Mapping[int, int], before: Before) -> tuple[tuple[str, str], ...]:
    """The headers of a post that is to be linked anew once the directory is past ``places``, and had these
    routes before."""
    told = ",".join(f"{partition}:{offset}" for partition, offset in sorted(places.items()))
    return *once_more(operation, before), (DIRECTORY, told)


def before_of(headers: Headers) -> Before | None:
    """The routes that the post had, where it is enriched once more or linked anew; None where it is not."""
    if not (text := _text(headers, ROUTES)):
        return None
    try:
        routes = _decode_routes(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    queues = _text(headers, QUEUES)
    return Before(routes, queues in (HELD, BY_CUSTOMER), queues == BY_CUSTOMER)


def _text(headers: Headers, name: str) -> str:
    """The last header of that name, as Kafka's own tools read it; empty where there is none."""
    found: str | bytes | None = ""
    for other, value in headers:
        if other == name:
            found = value
    return found.decode("ascii", "replace") if isinstance(found, bytes) else found or ""
