"""Ports: asked for, preferred, reserved, and who holds one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from pipeline.embedded.ports import RANGE, chooser, is_free


@pytest.fixture
def listening() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield server.getsockname()[1]


def test_a_taken_port_is_refused_by_name_with_its_holder(listening: int, tmp_path: Path) -> None:
    with chooser(tmp_path) as choice, pytest.raises(ConfigError) as caught:
        choice.asked("Kafka", listening)
    assert str(caught.value).startswith(f"Port {listening} for Kafka is taken by ")
    assert f"(pid {os.getpid()}): end that, or choose another port." in str(caught.value)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_no_port_at_all_is_refused(port: int, tmp_path: Path) -> None:
    with chooser(tmp_path) as choice, pytest.raises(ConfigError, match=f"{port} is no port for Kafka"):
        choice.asked("Kafka", port)


def test_the_first_free_one_of_the_preferred_is_taken(listening: int, tmp_path: Path) -> None:
    with chooser(tmp_path) as choice:
        good = choice.free()
    with chooser(tmp_path) as choice:
        assert choice.free([listening, good]) == good


def test_free_ones_are_below_those_of_outgoing_connections(listening: int, tmp_path: Path) -> None:
    with chooser(tmp_path) as choice:
        port = choice.free([listening])
    assert port in RANGE
    assert is_free(port)


def test_a_chosen_port_is_kept_from_other_starters_until_the_end(tmp_path: Path) -> None:
    with chooser(tmp_path) as one:
        port = one.free()
        with chooser(tmp_path) as other:
            assert other.free([port]) != port
            with pytest.raises(ConfigError, match="taken by another process"):
                other.asked("Kafka", port)
    with chooser(tmp_path) as later:
        assert later.asked("Kafka", port) == port


def test_without_a_place_for_reservations_ports_are_chosen_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with chooser(tmp_path / "file" / "ports") as choice:
        assert choice.free() in RANGE


def test_a_port_with_dead_connections_counts_as_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = server.accept()
        served.close()  # the server's side closes first: its end lingers in TIME_WAIT
        client.close()
    assert is_free(port)
