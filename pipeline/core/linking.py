"""Whose post is it: the keys under which customers and posts meet, and the decision from what was found.

Pure. A key is a hash of ten bytes of a kind and a normal form: the directory on disk and the `contacts`
of an event hold keys, never an address. Two customers under one key are told apart by nothing, so such a
key links nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, Protocol

from msgspec import Struct

from pipeline.core.customer import Customer
from pipeline.core.event import Contact, CustomerLink
from pipeline.core.post import Author

KEY_BYTES = 10

KeyKind = Literal["account", "handle", "email", "phone", "number"]


class Known(Struct, frozen=True):
    """What the directory tells of a customer: no name, no address."""

    id: str
    segment: str = ""
    value: float | None = None
    consent: bool | None = None


class Directory(Protocol):
    """All customers at one moment."""

    def holders(self, key: bytes) -> Sequence[str]:
        """The ids of the customers under a key: none, one, or several (two are enough to know that)."""
        ...

    def known(self, customer_id: str) -> Known | None:
        """The customer of that id."""
        ...


def key(kind: KeyKind, normal: str) -> bytes:
    """The key of a normal form. Kinds never meet: a number is no telephone."""
    return blake2b(f"{kind}:{normal}".encode(), digest_size=KEY_BYTES).digest()


def normal_handle(source: str, written: str) -> str:
    """A handle as posts of ``source`` give it, without case, sign and address: `@Ann_B`,
    `https://x.com/ann_b?lang=de` and `u/ann_b` are `ann_b`. Empty where none can be read."""
    raise NotImplementedError


def keys_of(customer: Customer) -> frozenset[bytes]:
    """All keys under which the customer stands in the directory; none without consent (`consent` False)."""
    raise NotImplementedError


def link(
    source: str, author: Author, contacts: Sequence[Contact], directory: Directory
) -> CustomerLink | None:
    """The customer whom the author of a post is taken to be, or None.

    What the author is (account id, handle, the address of a mail's header) goes before what the text
    shows, for a text may show somebody else's number. Findings that name different customers link none.
    """
    raise NotImplementedError
