"""A record of the customers topic as the change of a customer; every reader of the topic reads it so."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pipeline.core.customer import Customer, decode_customer
from pipeline.core.errors import RejectedError
from pipeline.identity.directory import Change
from sinks.store import Found


def change_of(partition: int, offset: int, key: bytes | str | None, value: bytes | str | None) -> Change:
    """The change that a record is; RejectedError where its key or its value cannot be read, or they name
    two customers."""
    try:
        customer_id = key.decode() if isinstance(key, bytes) else key or ""
    except UnicodeDecodeError:
        raise RejectedError("its key is no text", "unreadable") from None
    if not customer_id:
        raise RejectedError("its key names no customer", "invalid")
    if value is None:
        return Change(partition, offset, customer_id, None)
    customer = decode_customer(value.encode() if isinstance(value, str) else value)
    if customer.id != customer_id:
        raise RejectedError(f"its key is not the customer's id, {customer.id!r}", "invalid")
    return Change(partition, offset, customer_id, customer)


def customers_of(found: Mapping[str, Found]) -> dict[str, Customer]:
    """Customers by their ids, from what the index of customers holds; what is none is left out."""
    customers = {}
    for customer_id, entry in found.items():
        try:
            customers[customer_id] = msgspec.convert(entry.source, Customer)
        except msgspec.ValidationError:
            continue
    return customers
