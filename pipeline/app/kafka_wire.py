"""The few requests of Kafka's protocol up to the sign-in, written and read by hand. Knows no settings."""

from __future__ import annotations

import socket
import struct
import time

UNSUPPORTED_MECHANISM, ILLEGAL_SASL_STATE = 33, 34
"""Kafka's own codes of errors."""

_UNSUPPORTED_REQUEST = 42
_API_VERSIONS, _SASL_HANDSHAKE, _SASL_AUTHENTICATE = 18, 17, 36
_LARGEST_ANSWER = 1024 * 1024
_MOST_MECHANISMS = 100
ANSWER_SECONDS = 5.0
"""How long to wait for each answer, all of it."""


class Closed(Exception):
    """The other side hung up, or sent what is no Kafka."""


def greet(connection: socket.socket) -> None:
    """Raises Closed, OSError where it is no Kafka that answers, or none that answers so."""
    if len(_ask(connection, _API_VERSIONS, 0, b"")) < 2:
        raise Closed


def offered(connection: socket.socket, mechanism: str) -> tuple[int, list[str]]:
    """The error code of asking for a mechanism, and those that there are."""
    try:
        answer = _ask(connection, _SASL_HANDSHAKE, 1, _text(mechanism))
        code, count = struct.unpack_from(">hi", answer)
        names, at = [], 6
        for _ in range(min(count, _MOST_MECHANISMS)):
            length = max(struct.unpack_from(">h", answer, at)[0], 0)
            names.append(answer[at + 2 : at + 2 + length].decode("ascii"))
            at += 2 + length
    except (OSError, Closed, struct.error, UnicodeDecodeError):
        return _UNSUPPORTED_REQUEST, []
    # They are shown, and whoever answers may be anybody.
    return code, [name for name in names if name.isprintable()]


def exchange(connection: socket.socket, token: bytes) -> bytes:
    """The server's answer to a token of a sign-in. Raises Closed where it is refused."""
    answer = _ask(connection, _SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
    code, length = struct.unpack_from(">hh", answer)
    if code:
        raise Closed
    at = 4 + max(length, 0)
    size = struct.unpack_from(">i", answer, at)[0]
    return answer[at + 4 : at + 4 + max(size, 0)]


def _ask(connection: socket.socket, key: int, version: int, body: bytes) -> bytes:
    """The body of the answer."""
    request = struct.pack(">hhi", key, version, key) + _text("groundswell") + body
    deadline = time.monotonic() + ANSWER_SECONDS
    connection.settimeout(ANSWER_SECONDS)
    connection.sendall(struct.pack(">i", len(request)) + request)
    size = struct.unpack(">i", _exactly(connection, 4, deadline))[0]
    if not 4 <= size <= _LARGEST_ANSWER:
        raise Closed
    answer = _exactly(connection, size, deadline)
    if struct.unpack_from(">i", answer)[0] != key:
        raise Closed
    return answer[4:]


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    """Raises TimeoutError at the deadline, however little by little it comes."""
    received = b""
    while len(received) < size:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        part = connection.recv(size - len(received))
        if not part:
            raise Closed
        received += part
    return received


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded
