"""A rejection: what could not be processed, whole, with the reason, so that it can be tried again."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from typing import Literal

import msgspec
from msgspec import Struct

from pipeline.core.errors import RejectedError
from pipeline.core.post import MAX_POST_BYTES, Time

KEPT_BYTES = 1024 * 1024
"""How much of a payload too big for the topics is kept."""

Stage = Literal["replay", "collect", "enrich", "index", "directory"]


class Rejection(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """``id`` is stable: the same input rejected twice is one rejection.

    ``payload`` is the input as text, or in base64 where ``encoding`` says so. ``origin`` tells where
    it stood: a file and line, or a topic, partition and offset. ``cut`` marks a payload too big to keep
    whole, which cannot be tried again from here. ``operation`` is that under which the post came in.
    """

    id: str
    stage: Stage
    reason: str
    error: str
    payload: str
    encoding: Literal["text", "base64"] = "text"
    key: str = ""
    origin: str = ""
    cut: bool = False
    operation: int = 0
    rejected_at: Time


def reject(  # noqa: PLR0913 - each is a column of the record
    raw: bytes,
    error: RejectedError,
    *,
    stage: Stage,
    origin: str,
    now: Time,
    key: str = "",
    identity: bytes = b"",
    operation: int = 0,
) -> Rejection:
    """The rejection of ``raw``; its id is a digest of stage and payload, or of stage and ``identity`` where
    the same input may have other bytes the next time."""
    cut = len(raw) > MAX_POST_BYTES
    payload, encoding = _as_text(raw[:KEPT_BYTES] if cut else raw)
    return Rejection(
        id=rejection_id(stage, identity or raw),
        stage=stage,
        reason=error.reason,
        error=str(error),
        payload=payload,
        encoding=encoding,
        key=key,
        origin=origin,
        cut=cut,
        operation=operation,
        rejected_at=now,
    )


def rejection_id(stage: Stage, identity: bytes) -> str:
    """The id of the rejection of this input, by its payload or what else tells it apart, at this stage."""
    return hashlib.sha256(stage.encode() + b"\0" + identity).hexdigest()[:24]


def identity_under(raw: bytes, operation: int) -> bytes:
    """What tells a post that came under an operation apart: the same post without one is another input."""
    return b"%d " % operation + raw if operation else raw


def payload_of(rejection: Rejection) -> bytes:
    """The refused input, byte for byte."""
    if rejection.encoding == "base64":
        return b64decode(rejection.payload)
    return rejection.payload.encode()


def _as_text(raw: bytes) -> tuple[str, Literal["text", "base64"]]:
    """The payload as people read it, unless it is no text or one that JSON makes far longer."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = None
    # A control character takes six bytes in JSON: as text, a long line of them would outgrow a record.
    if text is not None and len(msgspec.json.encode(text)) <= 2 * MAX_POST_BYTES:
        return text, "text"
    return b64encode(raw).decode(), "base64"


class Strike(Struct, frozen=True, omit_defaults=True):
    """What stands of the rejection ``id`` up to this offset of its partition is dealt with.

    A record of its own, for a tombstone could fall on a newer refusal of the same input: a second try
    may be refused again before it is even noted that there was one. It remembers how often the input was
    refused until then, and when first: compaction leaves only the last refusal.
    """

    id: str
    offset: int
    attempts: int = 0
    first_at: Time | None = None


STRIKE = ".struck"
"""End of the keys of strikes, behind the id of the rejection."""

_decode = msgspec.json.Decoder(Rejection).decode
_decode_strike = msgspec.json.Decoder(Strike).decode


def decode_rejection(raw: bytes) -> Rejection:
    """Read one rejection; raises msgspec.DecodeError, for only Groundswell writes these."""
    return _decode(raw)


def encode_rejection(rejection: Rejection) -> bytes:
    """The JSON form of a rejection."""
    return msgspec.json.encode(rejection)


def decode_strike(raw: bytes) -> Strike:
    """Read one strike; raises msgspec.DecodeError, for only Groundswell writes these."""
    return _decode_strike(raw)


def encode_strike(strike: Strike) -> bytes:
    """The JSON form of a strike."""
    return msgspec.json.encode(strike)
