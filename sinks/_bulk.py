"""Writes many documents in few requests and says of each what became of it.

A request holds so many bytes and no more. Where the server refuses one as a whole for what may be the
fault of a single document (400, 413), it is halved until that document stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from elasticsearch import ApiError, Elasticsearch, TransportError
from msgspec import Struct

from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.event import Event
from sinks._client import cause_of, meaning, request
from sinks._document import encode
from sinks._outcome import APPLIED, Cause, Outcome, Verdict, judge, said

_PATH = "/_bulk?filter_path=errors,items.index.status,items.index.error"
_encode = msgspec.json.Encoder().encode


class Write(Struct, frozen=True):
    """One document on its way: the event, and the index it goes to."""

    event: Event
    index: str

    def lines(self) -> bytes:
        """The two lines of a bulk request."""
        return b'{"index":{"_index":%b,"_id":%b,"version":%d,"version_type":"external_gte"}}\n%b\n' % (
            _encode(self.index),
            _encode(self.event.post.id),
            self.event.version,
            encode(self.event),
        )


class _Part(Struct, frozen=True):
    """What one request holds."""

    writes: Sequence[Write]
    lines: Sequence[bytes]

    def halves(self) -> tuple[_Part, _Part]:
        middle = len(self.writes) // 2
        return (
            _Part(self.writes[:middle], self.lines[:middle]),
            _Part(self.writes[middle:], self.lines[middle:]),
        )


class _Answer(Struct):
    status: int
    error: Cause | None = None


def send(client: Elasticsearch, writes: Sequence[Write], bulk_bytes: int) -> list[Outcome]:
    """One outcome a write, in order; a request has at most ``bulk_bytes`` unless a document is longer.

    Raises RetryableError where the server is away or its answer is lost; whether any of the writes
    was applied is then unknown. Raises ConfigError where a person has to act.
    """
    outcomes: list[Outcome] = []
    for part in _parts(writes, bulk_bytes):
        outcomes += _send(client, part)
    return outcomes


def _parts(writes: Sequence[Write], bulk_bytes: int) -> Iterator[_Part]:
    """Encodes as it goes, so that no more than one request's bytes are held at a time."""
    lines: list[bytes] = []
    start = size = 0
    for position, write in enumerate(writes):
        line = write.lines()
        if lines and size + len(line) > bulk_bytes:
            yield _Part(writes[start:position], lines)
            lines, start, size = [], position, 0
        lines.append(line)
        size += len(line)
    if lines:
        yield _Part(writes[start:], lines)


def _send(client: Elasticsearch, part: _Part) -> list[Outcome]:
    try:
        answer = request(client, "POST", _PATH, b"".join(part.lines), lines=True)
    except ApiError as error:
        if error.status_code not in (400, 413):
            return _all_alike(client, part, error)
        if len(part.writes) == 1:
            return [Outcome(Verdict.REFUSED, _why_alone(error, len(part.lines[0])))]
        first, second = part.halves()
        return _send(client, first) + _send(client, second)
    except TransportError as error:
        raise meaning(error, client, part.writes[0].index) from error
    return _each(answer, part)


def _all_alike(client: Elasticsearch, part: _Part, error: ApiError) -> list[Outcome]:
    """The request failed as a whole: the server is busy, or its account lacks a right."""
    trouble = meaning(error, client, part.writes[0].index)
    if not isinstance(trouble, RetryableError):
        raise trouble from error
    return [Outcome(Verdict.AGAIN, str(trouble), trouble.retry_after)] * len(part.writes)


def _why_alone(error: ApiError, size: int) -> str:
    if error.status_code == 413:
        return f"its document of {size} bytes is larger than Elasticsearch, or a proxy before it, takes"
    return said(cause_of(error)) or "Elasticsearch refuses it with status 400"


def _each(answer: Any, part: _Part) -> list[Outcome]:
    try:
        failed, items = answer["errors"], answer["items"]
        if len(items) == len(part.writes) and not failed:
            return [APPLIED] * len(items)
        answers = [msgspec.convert(item["index"], _Answer) for item in items]
    except (KeyError, TypeError, msgspec.ValidationError):
        raise RetryableError("Elasticsearch gave no bulk answer: is elasticsearch.url right?") from None
    if len(answers) != len(part.writes):
        raise RetryableError(f"Elasticsearch answered for {len(answers)} of {len(part.writes)} documents")
    outcomes = [
        judge(found.status, found.error, write.index)
        for found, write in zip(answers, part.writes, strict=True)
    ]
    for outcome in outcomes:
        if outcome.verdict is Verdict.MISCONFIGURED:
            raise ConfigError(outcome.words)
    return outcomes
