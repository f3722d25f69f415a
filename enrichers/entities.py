"""The entities of a post: brands, products, people and places of the brands file that its text names.

Spans count characters of the original text. Of names that overlap the longest wins, of two as long the
first. Where several entities claim the very same words, all of them are given, each with its share of
the confidence. See docs/brands.md.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import count, groupby
from pathlib import Path
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from enrichers._names import PLAIN_HANDLES, Names, Span
from enrichers._names_batch import NameWatch, tags_among
from pipeline.core.brands import NO_BRANDS, BrandEntity, Brands, digest_form, read_brands
from pipeline.core.event import Entity
from pipeline.core.post import Post
from pipeline.core.reading import UNREAD, reading_of

REVISION = 3
"""Goes up with every change here, in ``_names`` or in ``pipeline.core.folding`` that may change a result."""

MOST = 500
"""Entities of one post, the first ones: no person reads more, and an event stays small enough to send."""

_REMEMBERED = 10_000
"""Tokens that are remembered with what they name."""


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[enrichers.entities]`` may say."""

    file: Annotated[
        Path | None, Meta(description="the brands file, see docs/brands.md; none: no entities are looked for")
    ] = None


_Named = dict[str, tuple[Entity, ...] | None]
"""Tokens, each with the entities that it names wherever it stands, counted from its own start; None where
that hangs on what stands near it."""


def build(settings: SETTINGS) -> EntitiesEnricher:
    """The step; reads the brands file. Raises ConfigError with every problem of it."""
    return EntitiesEnricher(read_brands(settings.file) if settings.file else NO_BRANDS)


class EntitiesEnricher:
    """Assigns ``entities`` from posts. See :class:`pipeline.core.protocols.Enricher`."""

    requires: ClassVar[tuple[str, ...]] = ("post",)
    assigns: ClassVar[str] = "entities"

    def __init__(self, brands: Brands) -> None:
        self._entities = brands.entities
        self._names = Names(brands) if brands.entities else None
        telling, pairs = (self._names.telling, self._names.pairs) if self._names else ((), ())
        self._watch = NameWatch(telling, pairs)
        # What single tokens name, in sources with other handles and in those with plain ones.
        self._alone: tuple[_Named, _Named] = ({}, {})
        self.version = _version(brands)

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[tuple[Entity, ...]]:
        """The entities of each post in the order of the text, at most ``MOST`` a post."""
        if self._names is None:
            return [()] * len(columns["post"])
        suspects = self._watch.suspects(reading_of(columns))
        return [
            self._suspected(post, self._names, tokens) if tokens or post.mentions or post.hashtags else ()
            for tokens, post in zip(map(suspects.get, count()), columns["post"])  # noqa: B905 - counts on
        ]

    def judge(self, post: Post) -> tuple[Entity, ...]:
        """The entities of one post, as `enrich` finds them."""
        return self._found(post, self._names, tags=True) if self._names else ()

    def _suspected(self, post: Post, names: Names, tokens: list[str] | None) -> tuple[Entity, ...]:
        """The entities of a post by the tokens of its text that may name any."""
        if post.mentions or post.hashtags or tokens is None:
            return self._found(post, names, tags_among(tokens) if tokens else None)
        known, text, place = self._alone[post.source in PLAIN_HANDLES], post.text, 0
        found: list[Entity] = []
        for token in tokens:
            if token not in known:
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[token] = self._named_alone(token, names, post.source)
            named = known[token]
            if named is None:
                return self._found(post, names, tags_among(tokens))
            if named:
                place = _place(token, text, place)
                if not place and len(tokens) == 1:
                    return named
                found += [_moved(entity, place) for entity in named]
                place += len(token)
        return tuple(found[:MOST])

    def _named_alone(self, token: str, names: Names, source: str) -> tuple[Entity, ...] | None:
        """What is remembered of a token."""
        if token == UNREAD:
            return None
        spans = names.find_alone(token, source)
        return None if spans is None else tuple(self._entities_at(token, spans)[:MOST])

    def _entities_at(self, text: str, spans: list[Span]) -> list[Entity]:
        return [
            _entity(self._entities[span.entity], text[span.start : span.end], span, 1 / len(tied))
            for tied in longest(spans, len(text))
            for span in tied
        ]

    def _found(self, post: Post, names: Names, tags: bool | None) -> tuple[Entity, ...]:
        """``tags`` is whether those of the text may name something; None where nothing in it may."""
        text = post.text
        spans = names.find(text, post.source, post.mentions, tags) if tags is not None else []
        if not (spans or post.mentions or post.hashtags):
            return ()
        found = self._entities_at(text, spans)
        if post.mentions or post.hashtags:
            beside = _beside(post, names, {span.entity for span in spans})
            found += [
                _entity(self._entities[number], said, Span(0, 0, number), 1.0) for number, said in beside
            ]
        return tuple(found[:MOST])


def longest(spans: list[Span], length: int) -> list[tuple[Span, ...]]:
    """The spans that stay of some in order, in order, those of the very same characters together.

    Longer ones go before shorter ones, of two as long the first, and whatever overlaps with one that
    stays is left out. ``length`` is that of the text.
    """
    if len(spans) < 2:
        return [tuple(spans)] if spans else []
    same = [tuple(group) for _, group in groupby(spans, key=lambda span: span[:2])]
    taken = bytearray(length)
    kept = []
    for group in sorted(same, key=lambda group: (group[0].start - group[0].end, group[0].start)):
        start, end, _ = group[0]
        if taken.find(1, start, end) < 0:
            taken[start:end] = b"\1" * (end - start)
            kept.append(group)
    return sorted(kept)


def _beside(post: Post, names: Names, seen: set[int]) -> list[tuple[int, str]]:
    """What the platform's own lists of mentions and tags name and the text does not: entity, and by what."""
    found: dict[int, str] = {}
    for mention in post.mentions:
        for entity in names.of_handle(mention):
            found.setdefault(entity, f"@{mention.lstrip('@')}")
    for tag in post.hashtags:
        bare = tag.lstrip("#＃")
        if bare and f"#{bare.lower()}" not in post.text.lower():
            for entity in names.of_tag(bare):
                found.setdefault(entity, f"#{bare}")
    return [(entity, said) for entity, said in found.items() if entity not in seen]


def _place(token: str, text: str, start: int) -> int:
    """Where the token, which is there, first stands between white space from ``start`` on."""
    place, size = text.find(token, start), len(token)
    while not f"{text[place - 1 : place]} {text[place + size : place + size + 1]}".isspace():
        place = text.find(token, place + 1)
    return place


def _moved(one: Entity, by: int) -> Entity:
    return Entity(one.id, one.name, one.kind, one.text, one.start + by, one.end + by, one.confidence)


def _entity(brand: BrandEntity, text: str, span: Span, confidence: float) -> Entity:
    return Entity(brand.id, brand.name, brand.kind, text, span.start, span.end, confidence)


def _version(brands: Brands) -> str:
    """The tables of Unicode, revision and a digest of what the brands file means."""
    name = f"unicode-{unicodedata.unidata_version}+{REVISION}"
    if not brands.entities:
        return name
    return f"{name}.{hashlib.sha256(digest_form(brands)).hexdigest()[:8]}"
