"""What the topic holds and what a file says, customer by customer, in some 200 bytes each.

Of a content only a digest of 16 bytes is kept, so a million customers fit into memory and are compared
without being held.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal

_BYTES = 16
_NONE = bytes(_BYTES)
_GONE = b"\1" + bytes(_BYTES - 1)
_NAMED = b"\2" + bytes(_BYTES - 1)

Change = Literal["new", "changed", "unchanged", "removed", "repeated", "contradicted"]


class Books:
    """Fed with the topic first, then with the file row by row."""

    def __init__(self) -> None:
        self._slots: dict[bytes, int] = {}
        self._held = bytearray()
        self._given = bytearray()
        self._lines = array("Q")
        self.customers = 0

    def _slot(self, key: bytes) -> int:
        slot = self._slots.setdefault(key, len(self._slots))
        if slot == len(self._lines):
            self._held += _NONE
            self._given += _NONE
            self._lines.append(0)
        return slot * _BYTES

    def hold(self, key: bytes, value: bytes | None) -> None:
        """One record of the topic; the last of a key counts."""
        at = self._slot(key)
        before = self._held[at : at + _BYTES] != _NONE
        self.customers += (value is not None) - before
        self._held[at : at + _BYTES] = _NONE if value is None else _digest(value)

    def give(self, key: bytes, value: bytes | None, line: int) -> Change:
        """One row of the file, a ``value`` of None for a customer who is gone: what it changes."""
        at = self._slot(key)
        told = _GONE if value is None else _digest(value)
        before = self._given[at : at + _BYTES]
        if before not in (_NONE, _NAMED):
            return "repeated" if before == told else "contradicted"
        self._given[at : at + _BYTES] = told
        self._lines[at // _BYTES] = line
        held = self._held[at : at + _BYTES]
        if value is None:
            return "unchanged" if held == _NONE else "removed"
        if held == _NONE:
            return "new"
        return "unchanged" if held == told else "changed"

    def name(self, key: bytes) -> None:
        """A row that was refused names this customer: they are not missing from the file."""
        at = self._slot(key)
        if self._given[at : at + _BYTES] == _NONE:
            self._given[at : at + _BYTES] = _NAMED

    def line_of(self, key: bytes) -> int:
        """The line of the row that counts."""
        return self._lines[self._slot(key) // _BYTES]

    def missing(self) -> Iterator[bytes]:
        """The customers whom the topic holds and the file does not name."""
        for key, slot in self._slots.items():
            at = slot * _BYTES
            if self._given[at : at + _BYTES] == _NONE and self._held[at : at + _BYTES] != _NONE:
                yield key


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=_BYTES).digest()
