"""What X means by what it refuses: which error it is to the runtime, and what a person can do. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from connectors._loose import dict_of, read_json, rows_of, text_of
from connectors._refusal import LONGEST_REST, refused
from connectors._session import Answered
from pipeline.core.errors import ConfigError, GroundswellError, RetryableError

WHO = "X"
CROWDED_SECONDS = 30.0
"""X frees a connection that has ended some time after its end."""

_TOKEN = "put a valid bearer token of an app of the X developer portal into bearer_token_file"
_TIER = "see in the X developer portal whether the app stands in a project and what its access covers"
_STREAM_TIER = (
    'see in the X developer portal whether its access covers the filtered stream, or set `mode = "search"`'
)
# Of ids: what X has moves on while it is asked.
_MINUTE = 60_000 << 22
_LARGER_THAN = re.compile(r"larger than\W{0,3}([0-9]{1,19})")


class TooOld(Exception):
    """X no longer has all that follows the id that was asked for; ``oldest`` is one that it takes, or 0."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest id is {oldest}")
        self.oldest = oldest


class StalePage(Exception):
    """The token of the next page is not taken any more."""


def refusal_of(answered: Answered, now: datetime, *, stream: bool = False) -> GroundswellError:
    """The error for an answer with a status that brings nothing."""
    problem = problem_of(answered)
    said = words_of(problem)
    kind = f"{text_of(problem.get('title'))} {text_of(problem.get('type'))} {text_of(problem.get('reason'))}"
    if answered.status == 402 or "CreditsDepleted" in kind:
        return ConfigError(f"{WHO} wants to be paid first{said}: buy credits in the X developer portal")
    if "UsageCap" in kind or "usage-capped" in kind or "SpendCap" in kind:
        return RetryableError(
            f"{WHO} says that the account's cap is used up{said}: raise it in the X developer portal or wait",
            LONGEST_REST,
        )
    if answered.status == 429 and text_of(problem.get("connection_issue")) == "TooManyConnections":
        return RetryableError(
            f"{WHO} holds another stream of this app open and lets no second one in: end the other program,"
            " or wait until X has noticed that the last connection is gone",
            CROWDED_SECONDS,
        )
    remedy = _TOKEN if answered.status == 401 else _STREAM_TIER if stream else _TIER
    if answered.status == 404:
        remedy = f"check `address`, or {remedy}"
    return _with(refused(answered.status, answered.headers, WHO, remedy, now), said)


def _with(error: GroundswellError, said: str) -> GroundswellError:
    return ConfigError(f"{error}{said}") if isinstance(error, ConfigError) and said else error


def query_refusal(answered: Answered, tag: str) -> Exception:
    """What a status of 400 means to the search for the rule ``tag``."""
    for problem in rows_of(problem_of(answered).get("errors")):
        asked = dict_of(problem.get("parameters"))
        if "since_id" in asked:
            oldest = _LARGER_THAN.search(text_of(problem.get("message")))
            return TooOld(int(oldest[1]) + _MINUTE if oldest else 0)
        if "next_token" in asked or "pagination_token" in asked:
            return StalePage()
    return rule_refusal(tag, words_of(problem_of(answered)))


def rule_refusal(tag: str, said: str) -> ConfigError:
    """The error for a rule that X does not understand."""
    return ConfigError(f"{WHO} does not take the rule `{tag}`{said}: mend it in `rules`")


def problem_of(answered: Answered) -> dict[str, Any]:
    """The problem that a body tells of; empty where it tells of none."""
    try:
        return dict_of(read_json(answered.body))
    except ValueError:
        return {}


def words_of(problem: dict[str, Any]) -> str:
    """X's own words on a problem, in brackets behind a space, fit for one line; empty where it has none."""
    for text in _sentences(problem):
        plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        if plain:
            return f" ({plain[:300].rstrip('.')})"
    return ""


def _sentences(problem: dict[str, Any]) -> Iterator[str]:
    for inner in rows_of(problem.get("errors")):
        yield text_of(inner.get("message"))
        yield from _sentences(inner)
    details = problem.get("details")
    yield from (text_of(one) for one in (details if isinstance(details, list) else ()))
    yield text_of(problem.get("detail"))
    yield text_of(problem.get("title"))
