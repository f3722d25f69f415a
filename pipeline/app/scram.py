"""The client's side of SCRAM (RFC 5802): a sign-in that never sends the password."""

from __future__ import annotations

import base64
import hashlib
import hmac

MOST_ITERATIONS = 1_000_000
"""Half a second of work; Kafka takes 16,384 at most, and more would have us count for a stranger."""


class ServerDidNotProve(Exception):
    """The other side let us in without knowing the password: it is not who it says."""


class Scram:
    """One sign-in. ``mechanism`` is SCRAM-SHA-256 or SCRAM-SHA-512, ``nonce`` a text nobody can guess."""

    def __init__(self, mechanism: str, username: str, password: str, nonce: str) -> None:
        self._hash = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        self._password = password.encode()
        name = username.replace("=", "=3D").replace(",", "=2C")
        self._first = f"n={name},r={nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """What the client begins with."""
        return f"n,,{self._first}".encode()

    def final(self, answer: bytes) -> bytes:
        """What the client says to the server's first answer. Raises ServerDidNotProve for a foreign nonce,
        ValueError and KeyError for what is no answer."""
        told = _parts(answer)
        if not told.get("r", "").startswith(self._first.partition(",r=")[2]):
            raise ServerDidNotProve
        salt, iterations = base64.b64decode(told["s"]), int(told["i"])
        if iterations > MOST_ITERATIONS:
            raise ValueError("so many iterations only hold us up")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        key = self._sign(salted, b"Client Key")
        final = f"c=biws,r={told['r']}"
        whole = f"{self._first},{answer.decode()},{final}".encode()
        signature = self._sign(hashlib.new(self._hash, key).digest(), whole)
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        self._signature = self._sign(self._sign(salted, b"Server Key"), whole)
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, answer: bytes) -> None:
        """Raises ServerDidNotProve unless the server's last word shows that it knows the password."""
        given = base64.b64decode(_parts(answer).get("v", ""))
        if not hmac.compare_digest(given, self._signature):
            raise ServerDidNotProve

    def _sign(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._hash)


def _parts(message: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in message.decode().split(",") if "=" in part)
