"""What a platform's refusal means, and how long to stay away; and whose turn it is among several hosts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._hosts import Hosts
from connectors._refusal import LONGEST_REST, refused, reset_seconds
from pipeline.core.errors import ConfigError, RetryableError

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "30"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 10:02:00 GMT"}, 120),
        ({"x-rate-limit-reset": str(int(NOW.timestamp()) + 900)}, 900),
        ({"x-ratelimit-reset": "417"}, 417),
        ({"X-RateLimit-Reset": "2026-11-22T10:05:00.374878Z"}, 300.374878),
        ({"Retry-After": "soon", "ratelimit-reset": "5"}, 5),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e300"}, LONGEST_REST),
        ({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT"}, 0),
        ({"x-rate-limit-reset": str(int(NOW.timestamp()) + 86400)}, LONGEST_REST),
    ],
)
def test_the_reset_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert reset_seconds(headers, NOW) == seconds


@pytest.mark.parametrize("off", [DAY, -DAY, timedelta(0)])
def test_a_point_in_time_is_held_against_the_platforms_own_clock(off: timedelta) -> None:
    theirs = NOW + off
    headers = {"Date": format_datetime(theirs, usegmt=True)}
    headers["x-rate-limit-reset"] = str(int((theirs + timedelta(seconds=60)).timestamp()))
    assert reset_seconds(headers, NOW) == 60


@given(st.dictionaries(st.sampled_from(["Retry-After", "x-rate-limit-reset", "Date"]), st.text()))
def test_nothing_in_a_header_breaks_it(headers: dict[str, str]) -> None:
    seconds = reset_seconds(headers, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_REST


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_what_a_person_must_mend_says_how(status: int) -> None:
    error = refused(status, {}, "the platform", "renew the token in token_file", NOW)
    assert isinstance(error, ConfigError)
    assert f"(status {status}): renew the token in token_file" in str(error)


@pytest.mark.parametrize("status", [301, 302, 307, 408, 425, 429, 500, 502, 503, 504, 599])
def test_what_passes_by_itself_is_tried_again(status: int) -> None:
    error = refused(status, {"Retry-After": "7"}, "the platform", "?", NOW)
    assert isinstance(error, RetryableError)
    assert error.retry_after == (None if status < 400 else 7)


def test_hosts_take_turns_and_rest_when_they_ask() -> None:
    now = 0.0
    hosts = Hosts(["wss://a", "wss://b"], lambda: now)
    assert (hosts.choose(), hosts.name) == ("wss://a", "a")
    assert isinstance(hosts.failed(ConfigError("a refuses")), RetryableError)
    assert hosts.choose() == "wss://b"
    own = RetryableError("b's limit is reached", 50)
    assert hosts.failed(own) is own
    assert hosts.choose() == "wss://a"
    assert isinstance(hosts.failed(RetryableError("a's limit is reached", 30)), RetryableError)
    with pytest.raises(RetryableError) as error:
        hosts.choose()
    assert error.value.retry_after == 30
    now = 31
    assert hosts.choose() == "wss://a"
    hosts.works()
    assert str(hosts.failed(RetryableError("a is away"))) == "a is away; the next host is asked"
