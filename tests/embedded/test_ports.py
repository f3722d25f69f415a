"""Ports: asked for, preferred, reserved, and who holds one."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from pipeline.core.errors import ConfigError
from pipeline.embedded.ports import RANGE, chooser, is_free
from pipeline.embedded.process import State, write_state


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


@pytest.mark.parametrize(
    ("phase", "since", "is_kept"),
    [("running", 0.0, True), ("stopped", 0.0, False), ("running", -365 * 24 * 3600.0, False)],
    ids=["died", "was ended", "ended with the system"],
)
def test_the_port_of_a_server_that_died_is_kept_for_it(
    phase: Literal["running", "stopped"], since: float, is_kept: bool, tmp_path: Path
) -> None:
    mine, other = tmp_path / "mine.json", tmp_path / "other.json"
    with chooser(tmp_path / "ports") as choice:
        port = choice.free(owner=mine)
    state = State(
        name="kafka",
        phase=phase,
        mark="",
        pid=1,
        group=1,
        started=0.0,
        since=time.time() + since,
        port=port,
        second_port=0,
        version="",
        line="",
        java="",
        java_home="",
        log="",
    )
    write_state(mine, state)
    with chooser(tmp_path / "ports") as choice:
        assert (choice.free([port], other) != port) == is_kept
    with chooser(tmp_path / "ports") as choice:
        assert choice.free([port], mine) == port
    with chooser(tmp_path / "ports") as choice:
        assert choice.asked("Kafka", port, other) == port, "who asks for it by number may have it"
    mine.unlink()
    with chooser(tmp_path / "ports") as choice:
        assert choice.free([port], tmp_path / "third.json") == port, "a home that is gone misses nothing"
