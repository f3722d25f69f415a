"""What each answer of Elasticsearch means, as a table."""

from __future__ import annotations

import pytest

from sinks._outcome import Cause, Verdict, judge, said

INDEX = "groundswell-posts-2026.11"
FULL_DISK = (
    f"index [{INDEX}] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark,"
    " index has read-only-allow-delete block];"
)


@pytest.mark.parametrize(
    ("status", "type", "reason", "verdict", "words"),
    [
        (200, "", "", Verdict.APPLIED, ""),
        (201, "", "", Verdict.APPLIED, ""),
        (409, "version_conflict_engine_exception", "current version [5] is higher", Verdict.SUPERSEDED, ""),
        (400, "document_parsing_exception", "failed to parse field [n]", Verdict.REFUSED, "field [n]"),
        (400, "illegal_argument_exception", "immense term", Verdict.REFUSED, "immense term"),
        (404, "resource_not_found_exception", "gone", Verdict.REFUSED, "gone"),
        (400, "", "", Verdict.REFUSED, "status 400"),
        (400, "index_closed_exception", "closed", Verdict.AGAIN, f"{INDEX} is closed"),
        (400, "validation_exception", "maximum normal shards open", Verdict.AGAIN, "maximum normal shards"),
        (404, "index_not_found_exception", "no such index", Verdict.AGAIN, "action.auto_create_index"),
        (
            403,
            "cluster_block_exception",
            "blocked by: [FORBIDDEN/8/index write (api)]",
            Verdict.AGAIN,
            "takes no writes",
        ),
        (403, "cluster_block_exception", FULL_DISK, Verdict.AGAIN, "free disk space"),
        (429, "cluster_block_exception", FULL_DISK, Verdict.AGAIN, "read_only_allow_delete"),
        (
            429,
            "es_rejected_execution_exception",
            "queue full",
            Verdict.AGAIN,
            "takes no posts now: queue full",
        ),
        (429, "circuit_breaking_exception", "too large", Verdict.AGAIN, "too large"),
        (500, "already_closed_exception", "", Verdict.AGAIN, "already_closed_exception"),
        (502, "", "", Verdict.AGAIN, "status 502"),
        (503, "unavailable_shards_exception", "primary shard is not active", Verdict.AGAIN, "not active"),
        (504, "", "", Verdict.AGAIN, "status 504"),
        (401, "security_exception", "missing credentials", Verdict.MISCONFIGURED, "missing credentials"),
        (403, "security_exception", "unauthorized for user [a]", Verdict.MISCONFIGURED, "unauthorized"),
        (
            400,
            "invalid_index_name_exception",
            "must be lowercase",
            Verdict.MISCONFIGURED,
            "elasticsearch.prefix",
        ),
    ],
)
def test_judge(status: int, type: str, reason: str, verdict: Verdict, words: str) -> None:
    outcome = judge(status, Cause(type, reason) if type else None, INDEX)
    assert outcome.verdict is verdict
    assert words in outcome.words


def test_reasons_are_told_once_each_and_on_one_line() -> None:
    inner = Cause("x", 'For input\nstring: "x"')
    assert said(Cause("a", "failed to parse", Cause("b", "failed", inner))) == (
        'failed to parse: For input string: "x"'
    )


def test_a_long_reason_is_cut() -> None:
    assert len(said(Cause("a", "x" * 5000))) == 1000
