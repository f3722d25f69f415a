"""X's interface through tweepy: one page of a search, and the rules of the filtered stream.

tweepy gets a session that bounds what it leaves open, and a word in place of the token, for it logs its
headers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import requests
import tweepy
from msgspec import Struct

from connectors._loose import dict_of, read_json, rows_of, text_of
from connectors._session import Answered, Bearer, Session
from connectors._x.refusal import (
    WHO,
    problem_of,
    query_refusal,
    refusal_of,
    rule_refusal,
    words_of,
)
from connectors._x.tweets import ASKED, Page, page_of
from pipeline.core.errors import ConfigError, GroundswellError, RetryableError

log = logging.getLogger("groundswell.x")

HOSTS = ("https://api.twitter.com", "https://api.x.com")
"""Those that stand in tweepy's code, and may."""

IN_PLACE_OF_THE_TOKEN = "kept-by-the-session"


class Rule(Struct, frozen=True):
    """A rule of the filtered stream as X keeps it."""

    id: str
    tag: str
    query: str


def session_for(address: str, token: Bearer, timeout: float) -> Session:
    """A session with X at ``address``."""
    return Session(WHO, timeout=timeout, elsewhere=dict.fromkeys(HOSTS, address), auth=token)


class Api:
    """Asks one thing at a time. ``last`` is what was answered last."""

    def __init__(self, session: Session, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._session = session
        self._now = now
        self._client = tweepy.Client(IN_PLACE_OF_THE_TOKEN, return_type=requests.Response)
        self._rules = tweepy.StreamingClient(IN_PLACE_OF_THE_TOKEN, return_type=requests.Response)
        self._client.session = self._rules.session = session

    @property
    def last(self) -> Answered:
        """Status and headers of the last answer."""
        return self._session.last

    def close(self) -> None:
        """Lets go of its sockets."""
        self._session.close()

    def search(self, tag: str, query: str, since: int, token: str, at_most: int) -> Page:
        """A page of what was said about a rule's query after the id ``since``, newest first.

        Raises TooOld and StalePage, ConfigError for a query that X does not understand, and RetryableError.
        """
        body = self._ask(
            lambda: self._client.search_recent_tweets(
                query, since_id=since, next_token=token or None, max_results=at_most, **ASKED
            ),
            lambda answered: (
                query_refusal(answered, tag) if answered.status == 400 else self._refusal(answered)
            ),
        )
        try:
            return page_of(body)
        except ValueError as error:
            raise _unreadable(error) from None

    def synchronise(self, rules: Mapping[str, str], prefix: str) -> None:
        """Makes the stream's rules whose tags begin with ``prefix`` those of ``rules`` (tag to query).

        Only what differs is added and deleted; a rule is there anew before its old form goes.
        """
        there = self._all_rules()
        wanted = {(f"{prefix}{tag}", query) for tag, query in rules.items()}
        kept: set[tuple[str, str]] = set()
        stale = []
        for rule in there:
            known = (rule.tag, rule.query)
            if known in wanted and known not in kept:
                kept.add(known)
            elif rule.tag.startswith(prefix):
                stale.append(rule)
        missing = sorted(wanted - kept)
        # X takes no query twice, so that a rule that only changed its name must go first.
        queries = {query for _, query in missing}
        renamed = [rule for rule in stale if rule.query in queries]
        self._delete(renamed)
        self._add(missing, prefix)
        self._delete([rule for rule in stale if rule not in renamed])
        if missing or stale:
            log.info(
                "rules of ours at X: %d, of which %d are new; %d gone", len(wanted), len(missing), len(stale)
            )

    def _all_rules(self) -> Sequence[Rule]:
        body = self._ask(self._rules.get_rules, self._stream_refusal)
        rows = rows_of(_object(body).get("data"))
        return [
            Rule(text_of(row.get("id")), text_of(row.get("tag")), text_of(row.get("value"))) for row in rows
        ]

    def _delete(self, rules: Sequence[Rule]) -> None:
        if rules:
            ids = [rule.id for rule in rules]
            self._ask(lambda: self._rules.delete_rules(ids), self._stream_refusal)

    def _add(self, rules: Sequence[tuple[str, str]], prefix: str) -> None:
        if not rules:
            return
        add = [tweepy.StreamRule(value=query, tag=tag) for tag, query in rules]
        tags = {query: tag.removeprefix(prefix) for tag, query in rules}

        def refused(answered: Answered) -> Exception:
            told = _refused_rule(problem_of(answered), tags) if answered.status in (400, 422) else None
            return told or self._stream_refusal(answered)

        if error := _refused_rule(_object(self._ask(lambda: self._rules.add_rules(add), refused)), tags):
            raise error

    def _refusal(self, answered: Answered) -> Exception:
        return refusal_of(answered, self._now())

    def _stream_refusal(self, answered: Answered) -> Exception:
        return refusal_of(answered, self._now(), stream=True)

    def _ask(self, call: Callable[[], Any], refused: Callable[[Answered], Exception]) -> bytes:
        """The body of the answer; raises what ``refused`` makes of one that brings nothing."""
        try:
            content = call().content
        except GroundswellError:
            raise
        except Exception as fault:
            # tweepy's own errors come of the status; others it makes when a body is not as it expects.
            if not self.last.status or 200 <= self.last.status < 300:
                name = type(fault).__name__
                raise RetryableError(f"the request to {WHO} failed in an unforeseen way: {name}") from None
            raise refused(self.last) from None
        assert isinstance(content, bytes)
        return content


def _refused_rule(answer: Mapping[str, Any], tags: Mapping[str, str]) -> ConfigError | None:
    """The error for the first rule that was not taken; None where all were. ``tags`` are by query."""
    for problem in rows_of(answer.get("errors")):
        tag = tags.get(text_of(problem.get("value")))
        if tag is None and len(tags) == 1:
            tag = next(iter(tags.values()))
        if "uplicate" in text_of(problem.get("title")):
            said = " (another program's rule says the same, and X takes no query twice)"
        else:
            said = words_of(problem)
        return rule_refusal(tag or ", ".join(sorted(tags.values())), said)
    return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        return dict_of(read_json(body))
    except ValueError as error:
        raise _unreadable(error) from None


def _unreadable(error: ValueError) -> RetryableError:
    return RetryableError(f"the answer of {WHO} cannot be read: {error}")
