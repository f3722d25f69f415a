"""The few requests of Kafka's protocol up to the sign-in, written and read by hand. Knows no settings."""

from __future__ import annotations

import socket
import struct

UNSUPPORTED_MECHANISM, ILLEGAL_SASL_STATE = 33, 34
"""Kafka's own codes of errors."""

_UNSUPPORTED_REQUEST = 42
_API_VERSIONS, _SASL_HANDSHAKE, _SASL_AUTHENTICATE = 18, 17, 36
_LARGEST_ANSWER = 1024 * 1024


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
        for _ in range(count):
            length = struct.unpack_from(">h", answer, at)[0]
            names.append(answer[at + 2 : at + 2 + length].decode())
            at += 2 + length
    except (OSError, Closed, struct.error):
        return _UNSUPPORTED_REQUEST, []
    return code, names


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
    connection.sendall(struct.pack(">i", len(request)) + request)
    size = struct.unpack(">i", _exactly(connection, 4))[0]
    if not 4 <= size <= _LARGEST_ANSWER:
        raise Closed
    answer = _exactly(connection, size)
    if struct.unpack_from(">i", answer)[0] != key:
        raise Closed
    return answer[4:]


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise Closed
        received += part
    return received


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded
