"""Reading records of the wire: those of this program's schema, and those of the one before.

While workers of two versions run side by side, and for as long as a log holds what the version before wrote,
records of both are read. The newer program turns the older form into its own (``before``); the older one
refuses the newer form, which is set aside and replayed later. So a role that reads is upgraded first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""A record of the schema before, as a table, to the same of this one, but for the number; pure."""


class Numbered(Protocol):
    """A record with the number of its schema; a missing one is 1."""

    @property
    def schema(self) -> int: ...


T = TypeVar("T", bound=Numbered)


def newer(schema: int, ours: int) -> ValueError:
    """What a record says that is of a later schema than ``ours``."""
    return ValueError(f"schema {schema} is newer than this program's {ours}: upgrade Groundswell")


class _Number(Struct):
    schema: int = 1


_number = msgspec.json.Decoder(_Number).decode


class Reader(Generic[T]):
    """Reads records of one kind. ``before`` is None where the schema before reads as this one."""

    def __init__(self, kind: type[T], schema: int, before: Upgrade | None = None) -> None:
        self._kind = kind
        self._schema = schema
        self._before = before
        self._decode = msgspec.json.Decoder(kind).decode

    def __call__(self, raw: bytes) -> T:
        """The record; raises msgspec.DecodeError (a ValidationError where it is JSON, but no such record, or
        of a schema that is later, or older than the one before)."""
        try:
            record = self._decode(raw)
        except msgspec.ValidationError:
            # What was no fault in the schema before may be one in this.
            if self._before is None or self._number(raw) != self._schema - 1:
                raise
            return self._upgraded(raw)
        if record.schema == self._schema:
            return record
        if record.schema < self._schema - 1:
            raise msgspec.ValidationError(
                f"schema {record.schema} is older than the last before this program's {self._schema}:"
                " go through the versions between"
            )
        return record if self._before is None else self._upgraded(raw)

    @staticmethod
    def _number(raw: bytes) -> int:
        try:
            return _number(raw).schema
        except msgspec.DecodeError:
            return 0

    def _upgraded(self, raw: bytes) -> T:
        assert self._before is not None
        table = self._before(msgspec.json.decode(raw)) | {"schema": self._schema}
        return msgspec.convert(table, self._kind)
