"""The e-mail addresses, telephone numbers and customer numbers that a post shows, as keys.

A key is a hash (see :mod:`pipeline.core.linking`): customers are found by it, and nobody can call or
write to it. The step knows no customers; posts of people who are none have contacts as well, so that
they are found again when they become one; so does their handle. See docs/customers.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import phonenumbers
from msgspec import Meta, Struct

from pipeline.core.errors import ConfigError
from pipeline.core.event import Contact
from pipeline.core.linking import KeyKind, handle_contact, key, normal_number
from pipeline.core.post import Post
from pipeline.identity.contacts import EMAIL_SIGN, PHONE_SIGN, Numbers, Texts, find_emails
from pipeline.identity.phones import find_phones, is_region

REVISION = 1
"""Goes up with every change here or in :mod:`pipeline.identity` that may change a result."""

MOST = 20
"""Contacts of one post; whoever lists more lists other people's."""

REMEMBERED = 50_000
"""Authors whose handle's key is known without reckoning."""

_HANDLES_LOOK_LIKE_MAIL = frozenset(("mastodon", "lemmy", "pixelfed", "peertube", "misskey", "pleroma"))
"""Sources whose accounts are called `ann@inst.example`, which is no address of mail."""


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[enrichers.contacts]`` may say."""

    region: Annotated[
        str,
        Meta(
            pattern=r"^(?:[A-Z]{2})?\Z",
            description="Country of telephone numbers that are written without its code, such as US;"
            " empty: only numbers with a code (+44 …) are found.",
            extra={"shape": "of two capital letters, such as US"},
        ),
    ] = ""
    number: Annotated[
        str,
        Meta(
            description="How customer numbers look, as a regular expression of RE2 such as LW-[0-9]{6};"
            " empty: none are looked for."
        ),
    ] = ""


def build(settings: SETTINGS) -> ContactsEnricher:
    """The step. ConfigError for a region that is none and a pattern that is wrong."""
    problems = []
    if settings.region and not is_region(settings.region):
        problems.append(f"enrichers.contacts.region: `{settings.region}` is no country of two letters")
    numbers = None
    try:
        numbers = Numbers(settings.number) if settings.number else None
    except ConfigError as error:
        problems.append(f"enrichers.contacts.number: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return ContactsEnricher(settings, numbers)


class ContactsEnricher:
    """Assigns ``contacts`` from posts. See :class:`pipeline.core.protocols.Enricher`."""

    requires: ClassVar[tuple[str, ...]] = ("post",)
    assigns: ClassVar[str] = "contacts"

    def __init__(self, settings: SETTINGS, numbers: Numbers | None) -> None:
        self._region = settings.region
        self._numbers = numbers
        self._handles: dict[tuple[str, str], tuple[Contact, ...]] = {}
        told = f"{settings.region}\n{settings.number}".encode()
        digest = f".{hashlib.sha256(told).hexdigest()[:8]}" if settings.region or settings.number else ""
        self.version = f"phonenumbers-{phonenumbers.__version__}+{REVISION}{digest}"

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[tuple[Contact, ...]]:
        """The contacts of each post, at most ``MOST`` a post: those of the header, the text, the bio. Before
        them stands the author's handle."""
        posts: Sequence[Post] = columns["post"]
        authors = [post.author for post in posts]
        found: dict[int, dict[Contact, None]] = {}
        for i, author in enumerate(authors):
            if "@" in author.handle or "@" in author.id:
                found[i] = dict.fromkeys(_of_header(posts[i]))
        with_bio = [i for i, author in enumerate(authors) if author.bio]
        texts = [post.text for post in posts] + [authors[i].bio for i in with_bio]
        for at in self._suspects(Texts(texts)):
            i, place = (at, "text") if at < len(posts) else (with_bio[at - len(posts)], "bio")
            if fresh := list(self._of_text(place, texts[at])):
                found.setdefault(i, {}).update(dict.fromkeys(fresh))
        shown = [self._of_handle(post) if post.author.handle else () for post in posts]
        for i, contacts in found.items():
            shown[i] += tuple(contacts)[:MOST]
        return shown

    def _of_handle(self, post: Post) -> tuple[Contact, ...]:
        who = post.source, post.author.handle
        known = self._handles.get(who)
        if known is None:
            contact = handle_contact(post.source, post.author)
            known = (contact,) if contact else ()
            if len(self._handles) >= REMEMBERED:
                self._handles.clear()
            self._handles[who] = known
        return known

    def _suspects(self, texts: Texts) -> list[int]:
        suspects = {*texts.with_a(EMAIL_SIGN), *texts.with_a(PHONE_SIGN)}
        if self._numbers:
            suspects.update(self._numbers.suspects(texts))
        return sorted(suspects)

    def _of_text(self, place: str, text: str) -> Iterator[Contact]:
        for email in find_emails(text):
            yield _contact("email", place, email)
        if self._numbers:
            for number in self._numbers.find(text):
                yield _contact("number", place, normal_number(number))
        for phone in find_phones(text, self._region):
            yield _contact("phone", place, phone)


def _of_header(post: Post) -> Iterator[Contact]:
    """The address that a mail comes from, or that a help desk knows its author by."""
    if post.source not in _HANDLES_LOOK_LIKE_MAIL:
        native = post.author.id.partition(":")[2]
        for email in dict.fromkeys((*find_emails(post.author.handle), *find_emails(native))):
            yield _contact("email", "header", email)


def _contact(kind: KeyKind, place: str, normal: str) -> Contact:
    return Contact(kind, place, key(kind, normal).hex())
