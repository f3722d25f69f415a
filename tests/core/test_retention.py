"""What is past its time: by whole months, alike for post and event, and for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.post import Author, Post
from pipeline.core.process import Chain
from pipeline.core.retention import Expiry, RetentionSettings, expiry, month_of, months_back

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC))
MAYBE = st.none() | MOMENTS


def some_post(created: datetime | None, collected: datetime | None, deleted: bool = False) -> Post:
    return Post(
        id="x:1",
        text="a",
        author=Author(id="x:ann"),
        created_at=created,
        collected_at=collected,
        deleted=deleted,
    )


def test_whole_months_before_the_current_one_are_kept() -> None:
    kept = expiry(RetentionSettings(months=3), 30, NOW)
    assert kept.posts == datetime(2026, 8, 1, tzinfo=UTC)
    assert kept.index("p-posts-2026.07")
    assert not kept.index("p-posts-2026.08")
    assert not kept.index("p-posts-undated")
    assert months_back(datetime(2026, 1, 31, tzinfo=UTC), 13) == datetime(2024, 12, 1, tzinfo=UTC)


def test_without_settings_no_post_is_ever_past_its_time() -> None:
    kept = expiry(RetentionSettings(stub_months=0), 30, NOW)
    assert kept.is_endless
    assert not kept.post(some_post(datetime(2006, 1, 1, tzinfo=UTC), None), NOW)


def test_only_what_is_set_has_an_end() -> None:
    assert set(expiry(RetentionSettings(), 30, NOW).ends) == {"stubs"}
    assert set(expiry(RetentionSettings(months=3, stub_months=0), 30, NOW).ends) == {"posts"}
    assert expiry(RetentionSettings(stub_months=0), 30, NOW).ends == {}


def test_stubs_outlive_what_the_topics_hold() -> None:
    kept = expiry(RetentionSettings(stub_months=1), 90, NOW)
    assert kept.stubs == datetime(2026, 7, 1, tzinfo=UTC)
    assert kept.stubs < NOW - timedelta(days=90 + 31)


def test_an_undated_post_counts_by_when_it_was_collected() -> None:
    kept = expiry(RetentionSettings(months=3), 30, NOW)
    assert kept.post(some_post(None, datetime(2026, 7, 31, tzinfo=UTC)), NOW)
    assert not kept.post(some_post(None, None), NOW)
    future = datetime(2026, 12, 25, tzinfo=UTC)
    assert kept.post(some_post(future, datetime(2026, 5, 1, tzinfo=UTC)), NOW)


@given(created=MAYBE, collected=MAYBE, observed=MOMENTS, now=MOMENTS, months=st.integers(1, 30))
def test_a_post_and_its_event_are_judged_alike(
    created: datetime | None, collected: datetime | None, observed: datetime, now: datetime, months: int
) -> None:
    kept = Expiry(posts=months_back(now, months))
    post = some_post(created, collected)
    (event,) = Chain([]).process([post], [observed], prefix="p", now=observed)
    assert not isinstance(event, Exception)
    assert kept.post(post, observed) == kept.event(event)
    if month_of(event.index):
        assert kept.index(event.index) == kept.event(event)


@given(created=MAYBE, collected=MAYBE, observed=MOMENTS, now=MOMENTS, later=st.timedeltas(timedelta(0)))
def test_what_is_past_its_time_stays_so(
    created: datetime | None, collected: datetime | None, observed: datetime, now: datetime, later: timedelta
) -> None:
    settings = RetentionSettings(months=2)
    post = some_post(created, collected)
    if expiry(settings, 30, now).post(post, observed):
        after = now + min(later, timedelta(days=3000))
        assert expiry(settings, 30, after).post(post, observed)


@given(st.text())
def test_names_that_are_no_month_have_none(name: str) -> None:
    assert month_of(name) is None
    assert month_of("p-posts-2026.13") is None
    assert month_of("p-posts-0000.01") is None
