"""What the columns of a file of customers mean, by the names that people and their programs give them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from pipeline.core.errors import ConfigError

Field = Literal[
    "id",
    "name",
    "first",
    "last",
    "email",
    "phone",
    "handle",
    "account",
    "accounts",
    "segment",
    "value",
    "since",
    "consent",
    "deleted",
    "schema",
]

SOURCES = (
    "x",
    "reddit",
    "bluesky",
    "mastodon",
    "facebook",
    "instagram",
    "youtube",
    "tiktok",
    "linkedin",
    "threads",
)
"""Sources that a column may be named after."""


class Column(Struct, frozen=True):
    """``handle`` is an account by whatever names it, ``account`` one by its id alone; both have a source."""

    field: Field
    source: str = ""


_NAMES: dict[str, Field] = {
    "id": "id",
    "customer": "id",
    "customer id": "id",
    "customer number": "id",
    "customer no": "id",
    "customer nr": "id",
    "customerid": "id",
    "name": "name",
    "full name": "name",
    "customer name": "name",
    "first name": "first",
    "given name": "first",
    "last name": "last",
    "family name": "last",
    "surname": "last",
    "email": "email",
    "emails": "email",
    "e mail": "email",
    "e mails": "email",
    "email address": "email",
    "e mail address": "email",
    "mail": "email",
    "phone": "phone",
    "phones": "phone",
    "phone number": "phone",
    "telephone": "phone",
    "tel": "phone",
    "mobile": "phone",
    "mobile phone": "phone",
    "cell": "phone",
    "accounts": "accounts",
    "segment": "segment",
    "value": "value",
    "since": "since",
    "customer since": "since",
    "consent": "consent",
    "deleted": "deleted",
    "schema": "schema",
}
_MANY = ("email", "phone", "handle", "account")
_SAME = {"twitter": "x", "x twitter": "x", "fb": "facebook", "insta": "instagram"}
_BREAK = re.compile(r"[\s_.\-/]+")
_NUMBERED = re.compile(r"^(.*?) ?[1-9]$")
_OF_ACCOUNT = re.compile(r"^(.+?) (handle|account|user|username|user name|profile|url|id|user id)$")


def column_of(name: str) -> Column | None:
    """What a column of that name holds; None where the name says nothing. `E-Mail_2` is an e-mail address."""
    plain = _BREAK.sub(" ", name.strip().lower()).strip()
    found = _known(plain)
    if found is None and (numbered := _NUMBERED.match(plain)):
        found = _known(numbered[1])
        if found is not None and found.field not in _MANY:
            return None
    return found


def _known(plain: str) -> Column | None:
    if plain in _NAMES:
        return Column(_NAMES[plain])
    kind: Field = "handle"
    if (named := _OF_ACCOUNT.match(plain)) and named[1] in (*SOURCES, *_SAME):
        plain = named[1]
        kind = "account" if named[2].endswith("id") else "handle"
    source = _SAME.get(plain, plain)
    return Column(kind, source) if source in SOURCES else None


def columns_of(names: Sequence[str], origin: str) -> list[Column | None]:
    """The columns of a header, None for each whose name is unknown.

    ConfigError where no column holds the customers' ids, and where two columns claim what there is once.
    """
    columns = [column_of(name) for name in names]
    owners: dict[str, str] = {}
    for name, column in zip(names, columns, strict=True):
        if column is None or column.field in _MANY:
            continue
        if column.field in owners:
            other = owners[column.field]
            raise ConfigError(f"{origin}: the columns `{other}` and `{name}` mean the same: leave one out")
        owners[column.field] = name
    if "id" not in owners:
        shown = ", ".join(f"`{name[:40]}`" for name in names[:12])
        raise ConfigError(
            f"{origin} has no column of customer ids in its first row ({shown}): begin with a header, such as"
            " `id,name,email,phone`"
        )
    return columns
