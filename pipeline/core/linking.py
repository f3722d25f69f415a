"""Whose post is it: the keys under which customers and posts meet, and the decision from what was found.

Pure. A key is a hash of ten bytes of a kind and a normal form: the directory on disk and the `contacts`
of an event hold keys, never an address. Two customers under one key are told apart by nothing, so such a
key links nobody. See docs/customers.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Literal, Protocol

from msgspec import Struct

from pipeline.core.customer import Account, Customer
from pipeline.core.event import Contact, CustomerLink
from pipeline.core.handles import canonical_source, normal_handle, other_names
from pipeline.core.post import Author

__all__ = (
    "KEY_BYTES",
    "Directory",
    "KeyKind",
    "Known",
    "account_key",
    "author_ids",
    "handle_contact",
    "handle_key",
    "key",
    "keys_of",
    "link",
    "normal_email",
    "normal_handle",
    "normal_number",
)

KEY_BYTES = 10

AUTHOR = "author"
"""The place of a contact that is the author's own handle."""

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


class _Weight(Struct, frozen=True):
    """``level`` 0 goes before 1 and so on; ``kind`` is what counts once, however often it is found."""

    level: int
    kind: str
    confidence: float


_EVIDENCE = {
    # A platform gives an account's id to nobody else, ever.
    "account id": _Weight(0, "account", 1.0),
    # Handles are given up and taken by others; the account is the same in nearly all cases.
    "handle": _Weight(1, "handle", 0.95),
    # The address that a mail comes from can be forged, which takes intent.
    "email in header": _Weight(1, "email", 0.95),
    # People put their own addresses into their bios, but also that of a shop or an agent.
    "email in bio": _Weight(2, "email", 0.9),
    "phone in bio": _Weight(2, "phone", 0.85),
    "number in bio": _Weight(2, "number", 0.85),
    # A text may show somebody else's, who is a customer too: a parent's, a colleague's.
    "email in text": _Weight(3, "email", 0.8),
    "number in text": _Weight(3, "number", 0.8),
    # Telephones are shared within a household more than the others, and change owners.
    "phone in text": _Weight(3, "phone", 0.7),
}
"""Every kind of evidence. docs/customers.md has the same table; a test holds them together."""

_EMAIL = re.compile(r"[^\s@,;:<>()\[\]\"\\]{1,64}@[^\s@,;:<>()\[\]\"\\_]+\.[^\s@,;:<>()\[\]\"\\_.]{2,}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


def key(kind: KeyKind, normal: str) -> bytes:
    """The key of a normal form. Kinds never meet: a number is no telephone."""
    return blake2b(f"{kind}:{normal}".encode(), digest_size=KEY_BYTES).digest()


def account_key(source: str, account_id: str) -> bytes:
    """The key of an account by its id, with or without its source before it."""
    name = canonical_source(source)
    if account_id.startswith(f"{name}:"):
        return key("account", account_id)
    bare = account_id.removeprefix(f"{source}:")
    return key("account", f"{name}:{bare}")


def handle_key(source: str, normal: str) -> bytes:
    """The key of a handle in its normal form. Equal handles of two sources have two keys."""
    return key("handle", f"{canonical_source(source)}/{normal}")


def normal_email(written: str) -> str:
    """An address in lower case, its domain in ASCII; empty where it is none. Dots and what follows a `+`
    stay: only some providers overlook them."""
    text = unicodedata.normalize("NFC", written.strip().rstrip(".").lower())
    if len(text) > 254 or not _EMAIL.fullmatch(text):
        return ""
    if text.isascii():
        return "" if ".." in text else text
    local, _, domain = text.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return ""


def normal_number(written: str) -> str:
    """A customer number without case. One of at least six letters and digits, both among them, is without
    its separators too: `LW-123456`, `lw 123456` and `LW123456` are one. Digits alone keep theirs, for
    without them too many other numbers look alike."""
    text = " ".join(unicodedata.normalize("NFC", written.casefold()).split())
    bare = "".join(filter(str.isalnum, text))
    mixed = any(map(str.isalpha, bare)) and any(map(str.isdigit, bare))
    return bare if mixed and len(bare) >= 6 else text


def keys_of(customer: Customer) -> frozenset[bytes]:
    """All keys under which the customer stands in the directory, also those of one who said no.

    Without them an address that two share would seem to be the other's alone, and the other would be
    taken for who said no. Their own id is a key as well: it is the number that people quote. What is in
    no normal form and cannot be brought into one has no key.
    """
    return frozenset(_keys(customer))


def _keys(customer: Customer) -> Iterable[bytes]:
    yield key("number", normal_number(customer.id))
    for account in customer.accounts:
        if account.id:
            yield account_key(account.source, account.id)
        if handle := normal_handle(account.source, account.handle):
            yield handle_key(account.source, handle)
    for email in map(normal_email, customer.emails):
        if email:
            yield key("email", email)
    for phone in customer.phones:
        if _PHONE.fullmatch(phone):
            yield key("phone", phone)


def handle_contact(source: str, author: Author) -> Contact | None:
    """The key of the author's handle as a contact: by it posts are found again, however the handle is
    written, when a customer with that account comes to be known. `link` itself asks the author."""
    handle = normal_handle(source, author.handle)
    return Contact("handle", AUTHOR, handle_key(source, handle).hex()) if handle else None


def author_ids(account: Account) -> Iterable[str]:
    """Every form in which posts may give the id of this account as ``author.id``."""
    name = canonical_source(account.source)
    bare = account.id.removeprefix(f"{account.source}:").removeprefix(f"{name}:")
    return [bare, *(f"{source}:{bare}" for source in (name, *other_names(name)))] if bare else []


def link(
    source: str, author: Author, contacts: Sequence[Contact], directory: Directory
) -> CustomerLink | None:
    """The customer whom the author of a post is taken to be, or None.

    The account's id goes before the handle and the address of a mail's header, those before what the bio
    shows, that before what the text shows, for a text may show somebody else's number. A key with several
    holders is no evidence. Findings that name different customers on the level that decides link none. Nor
    do those that name a customer who said no.
    """
    found = _found(source, author, contacts, directory)
    if not found:
        return None
    decisive = min(_EVIDENCE[evidence].level for evidence, _ in found)
    named = {holder for evidence, holder in found if _EVIDENCE[evidence].level == decisive}
    if len(named) > 1:
        return None
    (customer_id,) = named
    known = directory.known(customer_id)
    if known is None or known.consent is False:
        return None
    agreeing = {evidence for evidence, holder in found if holder == customer_id}
    evidence = tuple(phrase for phrase in _EVIDENCE if phrase in agreeing)
    return CustomerLink(customer_id, _confidence(evidence), evidence, known.segment, known.value)


def _found(
    source: str, author: Author, contacts: Sequence[Contact], directory: Directory
) -> list[tuple[str, str]]:
    """Each piece of evidence with the one customer that it names."""
    found = []
    if author.id:
        holders = directory.holders(account_key(source, author.id))
        if len(holders) == 1:
            found.append(("account id", holders[0]))
    # Not `author.url`: on some platforms that is a site that authors name themselves, anybody's.
    if author.handle and (handle := normal_handle(source, author.handle)):
        holders = directory.holders(handle_key(source, handle))
        if len(holders) == 1:
            found.append(("handle", holders[0]))
    for contact in contacts:
        phrase = f"{contact.kind} in {contact.place}"
        if phrase in _EVIDENCE:
            holders = directory.holders(bytes.fromhex(contact.key))
            if len(holders) == 1:
                found.append((phrase, holders[0]))
    return found


def _confidence(evidence: Sequence[str]) -> float:
    """Noisy-or: each kind of evidence may mislead for reasons of its own. The same kind twice, such as an
    address in bio and text, misleads for the same reason and counts once, at its best."""
    best: dict[str, float] = {}
    for weight in map(_EVIDENCE.__getitem__, evidence):
        best[weight.kind] = max(best.get(weight.kind, 0.0), weight.confidence)
    doubt = 1.0
    for confidence in best.values():
        doubt *= 1.0 - confidence
    return round(1.0 - doubt, 4)
