"""Posts of our own accounts are outbound, whatever their source says; all others stay as they came.

Which accounts are our own stands in the brands file, see docs/brands.md. The step goes first: those behind
it make no complaint and no work of what we ourselves wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from pipeline.core.brands import NO_BRANDS, Brands, plain, read_brands
from pipeline.core.post import Post

REVISION = 1
"""Goes up with every change here or in `Brands.is_own` that may change a result."""


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[enrichers.direction]`` may say."""

    file: Annotated[
        Path | None,
        Meta(
            description="the brands file with our own accounts, see docs/brands.md; none: sources know best"
        ),
    ] = None


def build(settings: SETTINGS) -> DirectionEnricher:
    """The step; reads the brands file. Raises ConfigError with every problem of it."""
    return DirectionEnricher(read_brands(settings.file) if settings.file else NO_BRANDS)


class DirectionEnricher:
    """Assigns ``post``: our own accounts' with ``direction`` outbound, all others as they are."""

    requires: ClassVar[tuple[str, ...]] = ("post",)
    assigns: ClassVar[str] = "post"

    def __init__(self, brands: Brands) -> None:
        self._brands = brands
        self.version = _version(brands)

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        """The posts in order; those that need no change are the very same objects."""
        posts: Sequence[Post] = columns["post"]
        if not self._brands.own_accounts:
            return posts
        is_own = self._brands.is_own
        return [
            replace(post, direction="outbound")
            if post.direction != "outbound" and is_own(post.source, post.author)
            else post
            for post in posts
        ]


def _version(brands: Brands) -> str:
    """Revision and a digest of the accounts, in whatever order and spelling the file lists them."""
    if not brands.own_accounts:
        return f"{REVISION}"
    accounts = sorted({(one.source, plain(one.handle), one.author_id) for one in brands.own_accounts})
    return f"{REVISION}.{hashlib.sha256(msgspec.json.encode(accounts)).hexdigest()[:8]}"
