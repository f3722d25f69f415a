"""A customer and her changes for tests of the directory."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.core.customer import Customer
from pipeline.core.linking import key
from pipeline.identity.directory import Change, DirectoryReader

AT = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
EMAIL = key("email", "ann@mail.example")


def ann(customer_id: str = "LW-1", **fields: object) -> Customer:
    """Ann with other values of some fields."""
    return Customer(**({"id": customer_id, "emails": ("ann@mail.example",), "segment": "gold"} | fields))  # type: ignore[arg-type]


def change(offset: int, customer: Customer | None, customer_id: str = "", partition: int = 0) -> Change:
    """Her record at that offset; without a customer the one of that id is gone."""
    return Change(partition, offset, customer.id if customer else customer_id, customer)


def holders(reader: DirectoryReader, wanted: bytes) -> list[str]:
    """Whose key it is now."""
    with reader.moment() as moment:
        return sorted(moment.holders(wanted))
