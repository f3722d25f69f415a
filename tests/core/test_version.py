"""Laws of the version: a total order by edit, operation and observation, from payload and operation alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import FatalError
from pipeline.core.post import Author, Post, decode_post, encode_post
from pipeline.core.version import MAX_EDIT, MAX_OPERATION, is_deletion, pack, unpack, version_of

TIMES = st.datetimes(datetime(2006, 1, 2), datetime(2070, 1, 1), timezones=st.just(UTC))
MAYBE = st.none() | TIMES
OPERATIONS = st.integers(0, MAX_OPERATION)


def post(
    edited: datetime | None = None, created: datetime | None = None, seen: datetime | None = None
) -> Post:
    return Post(
        id="x:1", text="t", author=Author(id="x:a"), created_at=created, edited_at=edited, collected_at=seen
    )


DELETION = Post(id="x:1", text="", deleted=True)


@given(st.tuples(*[st.integers(0, top) for top in (MAX_EDIT, MAX_OPERATION, 255)] * 2))
def test_order_of_integers_is_order_of_triples(parts: tuple[int, ...]) -> None:
    one, other = parts[:3], parts[3:]
    assert (pack(*one) < pack(*other)) == (one < other)
    assert unpack(pack(*one)) == one
    assert 0 <= pack(*one) < 2**63


@given(MAYBE, MAYBE, MAYBE, OPERATIONS)
def test_pure_and_within_what_elasticsearch_takes(
    edited: datetime | None, created: datetime | None, seen: datetime | None, operation: int
) -> None:
    version = version_of(post(edited, created, seen), operation)
    assert version == version_of(decode_post(encode_post(post(edited, created, seen))), operation)
    assert 0 <= version < 2**63 - 1


@given(MAYBE, TIMES, MAYBE, MAYBE, st.tuples(OPERATIONS, OPERATIONS))
def test_an_edit_beats_any_operation_and_observation_of_the_older_text(
    older: datetime | None,
    newer: datetime,
    seen: datetime | None,
    created: datetime | None,
    operations: tuple[int, int],
) -> None:
    low, high = operations
    if older is not None and newer - older < timedelta(milliseconds=8):
        return
    assert version_of(post(newer, created), low) > version_of(post(older, created, seen), high)


@given(MAYBE, MAYBE, MAYBE, MAYBE, OPERATIONS)
def test_a_later_operation_beats_any_observation(
    edited: datetime | None,
    created: datetime | None,
    early: datetime | None,
    late: datetime | None,
    operation: int,
) -> None:
    if operation == MAX_OPERATION:
        return
    assert version_of(post(edited, created, early), operation + 1) > version_of(
        post(edited, created, late), operation
    )


@given(MAYBE, MAYBE, MAYBE, OPERATIONS)
def test_a_deletion_beats_all(
    edited: datetime | None, created: datetime | None, seen: datetime | None, operation: int
) -> None:
    assert version_of(DELETION) > version_of(post(edited, created, seen), operation)
    assert is_deletion(version_of(DELETION))
    assert not is_deletion(version_of(post(edited, created, seen), operation))


@given(TIMES, st.floats(1, 10**9), st.floats(0, 10**9))
def test_a_later_observation_is_never_older(created: datetime, age: float, more: float) -> None:
    early, late = created + timedelta(seconds=age), created + timedelta(seconds=age + more)
    first, second = version_of(post(None, created, early)), version_of(post(None, created, late))
    assert first <= second
    if more > age * 0.2 + 2:
        assert first < second, "a refresh after a fifth of the age again is told apart"


def test_operations_run_out_with_a_sentence() -> None:
    with pytest.raises(FatalError, match="65535"):
        version_of(post(), MAX_OPERATION + 1)


def test_edit_times_before_the_epoch_or_far_ahead_stay_edits() -> None:
    ancient = version_of(post(datetime(1969, 1, 1, tzinfo=UTC)))
    distant = version_of(post(datetime(2100, 1, 1, tzinfo=UTC)))
    assert version_of(post()) < ancient < distant < version_of(DELETION)
