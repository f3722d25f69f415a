"""A file of mended posts that a stranger may have written: each line counts or is told of, none ends it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.app.rejections import Refused, mended
from pipeline.core.errors import RejectedError
from pipeline.core.rejection import reject

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REFUSED = reject(b"{}", RejectedError("no post", "invalid"), stage="collect", origin="here", now=NOW)
GOOD = b'{"id":"%s","post":{"id":"a:1","text":"mended","author":{"id":"a:me"}}}' % REFUSED.id.encode()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"id":"\xff","post":{}}', "can't decode"),
        (b'{"id":"x","post":' + b"[" * 100_000, "nested too deeply"),
        (b'{"id":"x","post":' + b'{"a":' * 100_000, "nested too deeply"),
        (b'{"id":"x","post":{}}', "no rejection with the id `x` stands here"),
        (b"[]", "Expected `object`"),
        (b"\0", "malformed"),
    ],
)
def test_a_line_that_is_none_is_told_and_the_next_one_counts(line: bytes, said: str) -> None:
    told: list[tuple[str, str]] = []
    standing = [Refused(REFUSED, 1, NOW, 0)]
    [one] = mended(standing, [line, b"", GOOD], lambda where, why: told.append((where, why)))
    assert one.mended is not None
    assert one.mended.text == "mended"
    [(where, why)] = told
    assert where == "line 1"
    assert said in why
