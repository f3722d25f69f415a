"""Kafka's configuration and the metadata request, without a server."""

from __future__ import annotations

import re
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedded import kafka

NAMES = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=20
)


def as_java_reads(value: str) -> str:
    """A value of a properties file, unescaped: doubled backslashes, and UTF-16 units in hexadecimal."""
    units = re.sub(r"\\u([0-9a-f]{4})|\\(\\)", lambda m: chr(int(m[1], 16)) if m[1] else m[2], value)
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_any_path_survives_the_properties_file(names: list[str]) -> None:
    path = Path("/", *names)
    written = kafka._property(path)
    assert written.isascii()
    assert as_java_reads(written) == str(path)


def test_cluster_ids_are_16_bytes_and_no_option() -> None:
    for _ in range(300):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", kafka._cluster_id())


def answer(brokers: int, controller: int) -> bytes:
    """A Metadata response, version 1, with brokers on racks and off."""
    parts = [struct.pack(">ii", 1, brokers)]
    for number in range(brokers):
        rack = b"r1" if number % 2 else None
        parts.append(struct.pack(">ih9si", number, 9, b"127.0.0.1", 9092))
        parts.append(struct.pack(">h", -1) if rack is None else struct.pack(">h2s", 2, rack))
    return b"".join([*parts, struct.pack(">i", controller), struct.pack(">i", 0)])


@pytest.mark.parametrize(
    ("brokers", "controller", "expected"),
    [(1, 1, True), (3, 0, True), (1, -1, False), (0, 1, False), (2, -1, False)],
)
def test_ready_means_a_broker_and_a_controller(brokers: int, controller: int, expected: bool) -> None:
    assert kafka._has_controller(answer(brokers, controller)) is expected


def test_nobody_there_is_not_ready() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert not kafka.ready(closed.getsockname()[1])
