"""A document of the index read back: the post as it was taken in, and what was found of its author.

The inverse of `_document` as far as re-linking needs it: what `encode` writes of a live post comes back
as the same Post. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pipeline.core.errors import RejectedError
from pipeline.core.event import Contact, CustomerLink
from pipeline.core.post import Post

T = TypeVar("T")


class _Found(Struct):
    contacts: tuple[Contact, ...] = ()
    customer: CustomerLink | None = None


class Stored(Struct, frozen=True):
    """A live post of the index, the keys of the contacts that it shows, and the customer it is linked to."""

    post: Post
    contacts: tuple[Contact, ...]
    customer: CustomerLink | None


def stored_of(document: Mapping[str, Any]) -> Stored:
    """The post and its links, of the whole ``_source`` of a live document; RejectedError where it is none."""
    found = _converted(document, _Found)
    return Stored(post_of(document), found.contacts, found.customer)


def post_of(document: Mapping[str, Any]) -> Post:
    """The post as enrich took it in, of the whole ``_source`` of a live document; RejectedError where it is
    none. The document has the post's own names for its fields; what it has beside them is left out."""
    return _converted(document, Post)


def _converted(document: Mapping[str, Any], form: type[T]) -> T:
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as error:
        raise RejectedError(f"no document of a post: {error}", "index") from None
