"""A customer, as the company's own books tell it: the form in the log, and the strict reading of one.

Owns what makes a customer valid. What a file of customers may look like is the importer's affair; here
every address is in its normal form already. See docs/customers.md.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from pipeline.core.errors import RejectedError
from pipeline.core.wire import Reader, Upgrade, newer

SCHEMA = 1
"""Version of the wire form; a higher one is refused, a missing one means 1."""

BEFORE: Upgrade | None = None
"""Turns the form of the schema before into this one's, where they differ."""

CustomerId = Annotated[str, Meta(pattern=r"^\S(?:.{0,198}\S)?\Z", description="1 to 200 characters")]


class Account(Struct, frozen=True, omit_defaults=True):
    """An account on a platform: by its handle in normal form (see `linking.normal_handle`), by the id that
    posts give it (`x:500100`), or by both. ``source`` is that of the posts."""

    source: str
    handle: str = ""
    id: str = ""


class Customer(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """``emails`` are in lower case, ``phones`` in E.164 (`+12025550104`). ``value`` is what the customer is
    worth a year, in whatever currency the books are kept. ``consent`` False: said no to being recognised
    in public posts, and is never linked; None where nothing is known."""

    id: CustomerId
    name: str = ""
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()
    segment: str = ""
    value: float | None = None
    since: date | None = None
    consent: bool | None = None
    # 1 for ever, for a missing number means 1; a later schema is written out.
    schema: int = 1

    def __post_init__(self) -> None:
        if self.schema > SCHEMA:
            raise newer(self.schema, SCHEMA)


_decode: Reader[Customer] = Reader(Customer, SCHEMA, BEFORE)
_encode = msgspec.json.Encoder().encode


def decode_customer(raw: bytes) -> Customer:
    """Reads one customer from its JSON form; raises RejectedError with the path of the fault."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RejectedError(f"no valid customer: {error}", "invalid") from None


def encode_customer(customer: Customer) -> bytes:
    """The JSON form of a customer, without the fields that hold their defaults."""
    return _encode(customer)
