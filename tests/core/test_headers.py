"""Headers of the posts topic: what is written is read, and what cannot be read counts as none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.event import Route
from pipeline.core.headers import again, before_of, operation_of, places_of
from pipeline.core.rerouting import Before
from pipeline.core.version import MAX_OPERATION

NUMBERS = st.integers(0, 10**9 - 1)


@given(st.integers(0, MAX_OPERATION), st.dictionaries(NUMBERS, NUMBERS, max_size=4))
def test_what_is_written_is_read(operation: int, places: dict[int, int]) -> None:
    before = Before((Route("vip", 1, "gold"),), held=True, by_customer=True)
    headers = [(name, value.encode()) for name, value in again(operation, places, before)]
    assert before_of(headers) == before
    assert operation_of(headers) == operation
    assert places_of(headers) == places


@pytest.mark.parametrize("value", [None, b"", b"-1", b"1.0", b" 1", b"65536", b"\xff", "1\n", "\u0663"])
def test_an_operation_that_cannot_be_read_is_none(value: bytes | str | None) -> None:
    assert operation_of([("operation", value)]) == 0


@pytest.mark.parametrize("value", [None, b"", b"2", b"2:", b":4", b"2:-1", b"two:4", b"\xff:1"])
def test_a_place_that_cannot_be_read_is_none(value: bytes | None) -> None:
    assert places_of([("directory", value)]) == {}


def test_the_last_of_several_headers_counts_as_kafkas_own_tools_have_it() -> None:
    assert operation_of([("operation", b"1"), ("other", b"9"), ("operation", b"2")]) == 2
    assert places_of([("directory", b"1:5,bad,2:7,1:4")]) == {1: 5, 2: 7}
