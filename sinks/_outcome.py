"""What an answer of Elasticsearch means for the one document it is about. Pure: sees statuses and words only.

::

    2xx                             applied
    409                             superseded: the index already holds a newer version
    400, 404 and what else is 4xx   the document's fault: refused, with the reason
    401, 403                        the sign-in's fault: a person must act
    429, 5xx, blocks, closed or
    missing indices, full clusters  the server's fault: the same again later

Statuses alone do not tell: a read-only index says 403 or 429, a closed index and a cluster that has
all the shards it may have say 400, an index that may not be made says 404.
"""

from __future__ import annotations

import re
from enum import Enum

from msgspec import Struct


class Verdict(Enum):
    """What the caller should do with the document."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    AGAIN = "again"
    MISCONFIGURED = "misconfigured"


class Cause(Struct, frozen=True):
    """One of the causes of an error, as Elasticsearch nests them."""

    type: str = ""
    reason: str | None = None
    caused_by: Cause | None = None


class Outcome(Struct, frozen=True):
    """``words`` is one sentence for the person who has to act; empty where nobody has to.

    ``retry_after`` is in seconds, where the server asks for so long a rest. ``blocked``: the index is closed
    to writing by its settings, not for want of disk space.
    """

    verdict: Verdict
    words: str = ""
    retry_after: float | None = None
    blocked: bool = False


APPLIED = Outcome(Verdict.APPLIED)
SUPERSEDED = Outcome(Verdict.SUPERSEDED)

# Errors with the status of a faulty request that are none.
_SERVERS = {
    "index_closed_exception": "index {index} is closed: open it again, or take its posts out of the input",
    "index_not_found_exception": "index {index} is missing and Elasticsearch does not make it:"
    " allow it in action.auto_create_index",
    "validation_exception": "index {index} cannot be made: {reason}",
}
# Of `index.blocks.write`, in Elasticsearch's own words.
_CLOSED = "FORBIDDEN/8/"
_BLOCKED = re.compile(r"read-only-allow-delete|flood-stage")


def judge(status: int, error: Cause | None, index: str) -> Outcome:
    """The outcome of one document that was to be written to ``index``."""
    if 200 <= status < 300:
        return APPLIED
    if status == 409:
        return SUPERSEDED
    error = error or Cause()
    return _by_type(error, index) or _by_status(status, error, index)


def _by_type(error: Cause, index: str) -> Outcome | None:
    if error.type == "cluster_block_exception":
        reason = error.reason or ""
        return Outcome(Verdict.AGAIN, blocked(index, reason), blocked=_CLOSED in reason)
    if error.type == "security_exception":
        return Outcome(Verdict.MISCONFIGURED, forbidden(index, said(error)))
    if error.type == "invalid_index_name_exception":
        return Outcome(Verdict.MISCONFIGURED, f"{said(error)}: choose another elasticsearch.prefix")
    if error.type in _SERVERS:
        return Outcome(Verdict.AGAIN, _SERVERS[error.type].format(index=index, reason=said(error)))
    return None


def _by_status(status: int, error: Cause, index: str) -> Outcome:
    reason = said(error)
    if status in (401, 403):
        return Outcome(Verdict.MISCONFIGURED, forbidden(index, reason))
    if status in (408, 429) or status >= 500:
        return Outcome(Verdict.AGAIN, f"Elasticsearch takes no posts now: {reason or f'status {status}'}")
    return Outcome(Verdict.REFUSED, reason or f"Elasticsearch refuses it with status {status}")


def blocked(index: str, reason: str) -> str:
    """The sentence for an index that takes no writes."""
    if _BLOCKED.search(reason):
        return (
            f"index {index} is read-only, for the disk is nearly full: free disk space, and Elasticsearch"
            " lifts the block, or remove index.blocks.read_only_allow_delete"
        )
    return f"index {index} takes no writes ({reason or 'blocked'}): remove the block from its settings"


def forbidden(what: str, reason: str) -> str:
    """The sentence for a right that is missing."""
    return (
        f"Elasticsearch forbids the account to use {what}: give it the role of docs/security.md"
        f" ({reason or 'no reason given'})"
    )


def said(error: Cause) -> str:
    """The reasons that Elasticsearch gives, outermost first, on one line and none twice."""
    reasons: list[str] = []
    cause: Cause | None = error
    while cause is not None:
        reason = " ".join((cause.reason or cause.type).split())
        if reason and not any(reason in known for known in reasons):
            reasons.append(reason)
        cause = cause.caused_by
    return ": ".join(reasons)[:1000]
