"""From the cells of one row to a customer, with a note of each field that could not be read.

Pure. A row is refused where it is not plain whom it is about, or whether it says that they are gone; all
else that is wrong costs one field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from typing import Any, TypeVar

from msgspec import Struct

from pipeline.app.customers.cells import (
    MOST_BYTES_OF_ID,
    Unreadable,
    email_of,
    id_of,
    since_of,
    text_of,
    value_of,
    yes_or_no,
)
from pipeline.app.customers.columns import Column
from pipeline.core.customer import SCHEMA, Account, Customer
from pipeline.core.handles import canonical_source, normal_handle
from pipeline.identity.phones import e164

Cell = tuple[Column, object]
T = TypeVar("T")

MOST = 100
"""Values of one kind that a customer may have."""

LONGEST = 1000
"""Characters of a name and of a segment: the index looks no further."""


_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Note(Struct, frozen=True):
    """A field that was left out: its name, and why."""

    field: str
    why: str


class Taken(Struct, frozen=True):
    """What a row says: the new state of a customer, None where they are gone."""

    id: str
    customer: Customer | None
    notes: tuple[Note, ...] = ()


class Refused(Exception):
    """The row cannot be taken. ``id`` is empty where none could be read."""

    def __init__(self, why: str, customer_id: str = "") -> None:
        super().__init__(why)
        self.id = customer_id


def shown(value: object) -> str:
    """A value for a message, cut."""
    text = str(value).strip()
    return f"`{text if len(text) <= 60 else text[:59] + '…'}`"


def taken(cells: Iterable[Cell], region: str) -> Taken:
    """The customer of a row. ``region`` is the country of telephone numbers without a code.

    Raises Refused where there is no valid id, where `deleted` says neither yes nor no, and for a schema that
    this program does not know.
    """
    return _Row(region).read(cells)


class _Row:
    """The values of one row as they come in."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._notes: list[Note] = []
        self._one: dict[str, Any] = {}
        self._emails: list[str] = []
        self._phones: list[str] = []
        self._accounts: list[Account] = []

    def read(self, cells: Iterable[Cell]) -> Taken:
        for column, value in cells:
            if value is None or value == "":
                continue
            if column.field in _LISTS:
                _LISTS[column.field](self, column, value)
            else:
                self._one[column.field] = value
        customer_id = self._id()
        if self._gone(customer_id):
            return Taken(customer_id, None)
        customer = Customer(
            id=customer_id,
            name=self._name(),
            emails=self._unique("emails", self._emails),
            phones=self._unique("phones", self._phones),
            accounts=self._unique("accounts", self._accounts),
            segment=self._text("segment"),
            value=self._read("value", value_of),
            since=self._read("since", since_of),
            consent=self._consent(),
        )
        return Taken(customer_id, customer, tuple(self._notes))

    def _id(self) -> str:
        try:
            found = id_of(self._one.get("id", ""))
        except Unreadable as error:
            written = self._one.get("id")
            raise Refused(str(error) if written is None else f"{shown(written)}: {error}") from None
        schema = self._one.get("schema", SCHEMA)
        if str(schema) != str(SCHEMA):
            raise Refused(f"its schema is {shown(schema)}, this program knows {SCHEMA}", found)
        return found

    def _gone(self, customer_id: str) -> bool:
        try:
            return yes_or_no(self._one.get("deleted", "")) or False
        except Unreadable as error:
            raise Refused(f"deleted {shown(self._one['deleted'])} {error}", customer_id) from None

    def _name(self) -> str:
        if "name" in self._one:
            return self._text("name")
        return f"{self._text('first')} {self._text('last')}".strip()

    def _text(self, field: str) -> str:
        found = self._read(field, text_of) or ""
        if len(found) > LONGEST:
            self._leave(field, found, f"has more than {LONGEST:,} characters")
            return ""
        return found

    def _consent(self) -> bool | None:
        written = self._one.get("consent", "")
        try:
            return yes_or_no(written)
        except Unreadable as error:
            # Somebody said something. Not to understand a no must never become a yes.
            self._notes.append(Note("consent", f"{shown(written)} {error}; taken as no"))
            return False

    def _read(self, field: str, how: Callable[[object], T]) -> T | None:
        written = self._one.get(field, "")
        if isinstance(written, str) and not written.strip():
            return None
        try:
            return how(written)
        except Unreadable as error:
            self._leave(field, written, str(error))
            return None

    def _leave(self, field: str, written: object, why: str) -> None:
        self._notes.append(Note(field, f"{shown(written)} {why}"))

    def _unique(self, field: str, values: list[T]) -> tuple[T, ...]:
        found = tuple(values) if len(values) < 2 else tuple(dict.fromkeys(values))
        if len(found) > MOST:
            self._notes.append(Note(field, f"{len(found)} of them: only the first {MOST} are kept"))
        return found[:MOST]

    def add_emails(self, _column: Column, value: object) -> None:
        for part in self._parts("email", value):
            try:
                self._emails.append(email_of(part))
            except Unreadable as error:
                self._leave("email", part, str(error))

    def add_phones(self, _column: Column, value: object) -> None:
        for part in self._parts("phone", value):
            if found := e164(part, self._region):
                self._phones.append(found)
            else:
                self._leave("phone", part, "is no telephone number")

    def add_handles(self, column: Column, value: object) -> None:
        for part in self._parts(column.source, value):
            if part.startswith(f"{column.source}:"):
                self._add_account(column.source, "", part)
            else:
                self._add_account(column.source, part, "")

    def add_ids(self, column: Column, value: object) -> None:
        mark = f"{column.source}:"
        for part in self._parts(column.source, value):
            self._add_account(column.source, "", part if part.startswith(mark) else mark + part)

    def add_accounts(self, _column: Column, value: object) -> None:
        listed: list[Any] = value if isinstance(value, list) else [value]
        for one in listed:
            if isinstance(one, str):
                self._add_written(one)
                continue
            source = one.get("source") if isinstance(one, dict) else None
            if not isinstance(source, str) or not _SOURCE.fullmatch(source):
                self._leave("accounts", one, "has no source, such as `x`")
                continue
            handle, by_id = one.get("handle", ""), one.get("id", "")
            if isinstance(handle, str) and isinstance(by_id, str) and (handle or by_id):
                self._add_account(canonical_source(source), handle, by_id)
            else:
                self._leave("accounts", one, "has neither handle nor id")

    def _add_written(self, value: str) -> None:
        """Accounts as `customer find --format csv` writes them: `x @petra_lindq x:500100`."""
        for part in self._parts("accounts", value):
            source, *words = part.split()
            source = canonical_source(source.lower())
            if not _SOURCE.fullmatch(source) or not 1 <= len(words) <= 2:
                self._leave("accounts", part, "is no account, such as `x @petra_lindq` or `x x:500100`")
                continue
            ids = [word for word in words if word.startswith(f"{source}:")]
            handles = [word for word in words if word not in ids]
            for handle, by_id in zip_longest(handles, ids, fillvalue=""):
                self._add_account(source, handle, by_id)

    def _add_account(self, source: str, handle: str, by_id: str) -> None:
        normal = normal_handle(source, handle) if handle else ""
        if handle and not normal:
            self._leave(source, handle, f"is no handle of {source}")
        if by_id and (not by_id.startswith(f"{source}:") or not _good_id(by_id, source)):
            self._leave(source, by_id, f"is no id of {source}, such as `{source}:500100`")
            by_id = ""
        if normal or by_id:
            self._accounts.append(Account(source, normal, by_id))

    def _parts(self, field: str, value: object) -> list[str]:
        """The values of a cell: several with semicolons between them, or as a list."""
        found = []
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            try:
                text = text_of(one)
            except Unreadable as error:
                self._leave(field, one, str(error))
                continue
            if ";" in text or "\n" in text:
                found += [part.strip() for part in text.replace("\n", ";").split(";")]
            else:
                found.append(text)
        return [part for part in found if part]


def _good_id(by_id: str, source: str) -> bool:
    native = by_id[len(source) + 1 :]
    return (
        bool(native)
        and not any(sign.isspace() for sign in native)
        and len(by_id.encode()) <= MOST_BYTES_OF_ID
    )


_LISTS: Mapping[str, Callable[[_Row, Column, object], None]] = {
    "email": _Row.add_emails,
    "phone": _Row.add_phones,
    "handle": _Row.add_handles,
    "account": _Row.add_ids,
    "accounts": _Row.add_accounts,
}
