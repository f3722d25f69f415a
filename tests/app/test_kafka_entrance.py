"""What passes for a broker and keeps us, or would have us work or remember without end."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from pipeline.app import kafka_entrance, kafka_wire
from pipeline.app.brokers import Brokers
from pipeline.app.kafka_entrance import barrier
from pipeline.core.settings import KafkaSettings, Secret

SIGNED = KafkaSettings(
    security_protocol="SASL_PLAINTEXT",
    sasl_mechanism="SCRAM-SHA-256",
    username="ours",
    password=Secret("hunter2"),
)
WAITING = "takes the connection and then does not answer within 1 s: see its log"
Answering = Callable[[socket.socket, bytes], object]


@contextmanager
def broker(*answering: Answering) -> Iterator[str]:
    """On each connection the first request is answered by the first of these, the second by the second …;
    then it is silent."""
    over = threading.Event()

    def converse(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            for answer in answering:
                size = struct.unpack(">i", connection.recv(4))[0]
                answer(connection, connection.recv(size))
            over.wait(20)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=serve, daemon=True).start()
        stack.callback(server.shutdown, socket.SHUT_RDWR)
        stack.callback(over.set)
        yield f"127.0.0.1:{server.getsockname()[1]}"


def says(body: bytes) -> Answering:
    """An answer of Kafka to whatever was asked."""

    def answer(connection: socket.socket, asked: bytes) -> None:
        connection.sendall(struct.pack(">i", len(body) + 4) + asked[4:8] + body)

    return answer


def drips(connection: socket.socket, _: bytes) -> None:
    """A large answer, byte by byte: each of them comes in time."""
    for byte in struct.pack(">i", 1_000_000) + bytes(60):
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


def offers(count: int, *names: bytes) -> bytes:
    """That the mechanism is not taken, but these are."""
    return struct.pack(">hi", 33, count) + b"".join(struct.pack(">h", len(name)) + name for name in names)


GREETS = says(struct.pack(">hi", 0, 0))
TAKEN = says(struct.pack(">hi", 0, 0))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where an answer is to come in time, on a busy machine too."""
    monkeypatch.setattr(kafka_entrance, "TIMEOUT", 1.0)
    monkeypatch.setattr(kafka_wire, "ANSWER_SECONDS", 1.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "answering", [(), (drips,), (GREETS, TAKEN), (GREETS, TAKEN, drips)], ids=lambda all: str(len(all))
)
def test_one_that_keeps_us_waiting_is_told_of_and_not_for_a_wrong_password(
    answering: tuple[Answering, ...],
) -> None:
    began = time.monotonic()
    with broker(*answering) as address:
        assert WAITING in barrier(Brokers(address, SIGNED))
    assert time.monotonic() - began < 10


def test_mechanisms_are_shown_only_where_a_terminal_bears_them() -> None:
    names = (b"SCRAM-SHA-512", b"\x1b]0;owned\x07")
    with broker(GREETS, says(offers(2, *names))) as address:
        reason = barrier(Brokers(address, SIGNED))
    assert " does not take SCRAM-SHA-256, but SCRAM-SHA-512: set" in reason
    assert reason.isprintable()


@pytest.mark.parametrize(
    "answer",
    [offers(2, b"\xff\xfe", b""), offers(2**31 - 1) + b"\xff\xfe" * 50, offers(2**31 - 1, *[b""] * 400_000)],
    ids=["no text", "negative lengths", "without end"],
)
def test_a_list_of_mechanisms_that_is_none_costs_nothing(answer: bytes) -> None:
    began = time.monotonic()
    with broker(GREETS, says(answer)) as address:
        reason = barrier(Brokers(address, SIGNED))
    assert "set kafka.sasl_mechanism" in reason or "(error 42)" in reason
    # More than that, and it would have been waited for.
    assert time.monotonic() - began < kafka_wire.ANSWER_SECONDS


@pytest.mark.parametrize("iterations", [2**31 - 1, 2**70, -1])
def test_nobody_has_us_count_for_minutes(iterations: int) -> None:
    def first(connection: socket.socket, asked: bytes) -> None:
        nonce = asked.rpartition(b",r=")[2]
        token = b"r=%sx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=%d" % (nonce, iterations)
        says(struct.pack(">hhi", 0, -1, len(token)) + token)(connection, asked)

    began = time.monotonic()
    with broker(GREETS, TAKEN, first) as address:
        assert "refuses the sign-in of `ours`" in barrier(Brokers(address, SIGNED))
    assert time.monotonic() - began < 60
