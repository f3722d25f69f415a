"""Share of voice: how much is said of us and of our competitors, how much of it complains, in what tone.

A post counts once for each brand that it names, itself or by one of its products. Our own posts and
deleted ones do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from elasticsearch import Elasticsearch
from msgspec import Struct

from enrichers import entities
from pipeline.app.registry import read_table
from pipeline.app.search import Query, Search, asking, query_of, source_of
from pipeline.core.brands import Brands, read_brands
from pipeline.core.errors import ConfigError
from pipeline.core.portions import portions
from pipeline.core.settings import Settings

By = Literal["day", "week", "month"]

KINDS = ("brand", "competitor")
TOGETHER = 200
"""Brands of one request; steps in time of one answer are fewer the more brands there are."""
_BUCKETS = 10_000

_NOT_COUNTED: list[Query] = [{"term": {"deleted": True}}, {"term": {"direction": "outbound"}}]


class Voice(Struct, frozen=True):
    """A brand or competitor, and the ids of all entities that count for it, its own among them."""

    id: str
    name: str
    kind: str
    members: tuple[str, ...]


class Heard(Struct, frozen=True):
    """What was counted of one brand in one period. ``sentiment`` is a mean, None without any."""

    posts: int
    complaints: int
    sentiment: float | None


class Share(Struct, frozen=True):
    """One row: ``share`` is in percent of all brands' posts of the period, 0 where there are none.

    ``period`` is the start of a step in time, in UTC; empty for the whole time.
    """

    period: str
    id: str
    name: str
    kind: str
    posts: int
    share: float
    complaints: int
    sentiment: float | None


def brands_of(settings: Settings) -> Brands:
    """The brands file of the step `entities`. Raises ConfigError with every problem of it, or without one."""
    file: Path | None = read_table(entities, settings.enrichers, "enrichers", "entities").file
    if file is None:
        raise ConfigError(
            "share of voice needs the brands: name a brands file as `file` of [enrichers.entities]"
        )
    return read_brands(file)


def voices_of(brands: Brands) -> list[Voice]:
    """All brands and competitors in the order of the file. Raises ConfigError where there is none."""
    members: dict[str, list[str]] = {}
    for entity in brands.entities:
        for above in brands.lineage(entity.id):
            members.setdefault(above, []).append(entity.id)
    voices = [
        Voice(one.id, one.name, one.kind, tuple(members[one.id]))
        for one in brands.entities
        if one.kind in KINDS
    ]
    if not voices:
        raise ConfigError("the brands file has no entity of kind brand or competitor, so there are no shares")
    return voices


def reckoned(voices: Sequence[Voice], heard: Mapping[str, Mapping[str, Heard]]) -> list[Share]:
    """The rows of what was ``heard`` by period and brand: periods in order, in each the loudest first.

    Of one period the shares sum to 100, but for the rounding to two places.
    """
    rows = []
    for period in sorted(heard):
        counts = [(voice, heard[period].get(voice.id, _SILENCE)) for voice in voices]
        whole = sum(one.posts for _, one in counts)
        for voice, one in sorted(counts, key=lambda pair: (-pair[1].posts, pair[0].id)):
            share = round(100 * one.posts / whole, 2) if whole else 0.0
            rows.append(
                Share(
                    period, voice.id, voice.name, voice.kind, one.posts, share, one.complaints, one.sentiment
                )
            )
    return rows


_SILENCE = Heard(0, 0, None)


def share_of_voice(
    client: Elasticsearch, index: str, search: Search, voices: Sequence[Voice], by: By | None = None
) -> list[Share]:
    """The shares over the posts that match, in all or by steps in time.

    Posts without a date are in no step. Raises ConfigError, RetryableError.
    """
    heard: dict[str, dict[str, Heard]] = {} if by else {"": {}}
    for some in portions(voices, TOGETHER):
        with asking(client):
            for period, buckets in _answers(client, index, search, some, by):
                found = heard.setdefault(period, {})
                for voice, bucket in zip(some, buckets, strict=True):
                    found[voice.id] = _heard(bucket)
    return reckoned(voices, heard)


def _heard(bucket: Mapping[str, Any]) -> Heard:
    return Heard(bucket["doc_count"], bucket["complaints"]["doc_count"], bucket["sentiment"]["value"])


def _answers(
    client: Elasticsearch, index: str, search: Search, voices: Sequence[Voice], by: By | None
) -> Iterator[tuple[str, list[Any]]]:
    """Each period with one bucket a voice."""
    filters: Query = {
        "filters": {"filters": [{"terms": {"entities.id": list(voice.members)}} for voice in voices]},
        "aggs": {
            "complaints": {"filter": {"term": {"complaint.is_complaint": True}}},
            "sentiment": {"avg": {"field": "sentiment.compound"}},
        },
    }
    if by is None:
        found = _ask(client, index, search, {"voices": filters})
        if found:
            yield "", found["voices"]["buckets"]
        return
    steps: Query = {
        "size": max(_BUCKETS // (2 * len(voices)), 1),
        "sources": [{"value": source_of(f"created_at:{by}")[0]}],
    }
    while True:
        found = _ask(client, index, search, {"steps": {"composite": steps, "aggs": {"voices": filters}}})
        if not found:
            return
        for bucket in found["steps"]["buckets"]:
            yield bucket["key"]["value"], bucket["voices"]["buckets"]
        if (after := found["steps"].get("after_key")) is None:
            return
        steps["after"] = after


def _ask(client: Elasticsearch, index: str, search: Search, aggs: Query) -> dict[str, Any]:
    """The aggregations; none where there is no index at all."""
    answer = client.search(
        index=index,
        query={"bool": {"filter": [query_of(search)], "must_not": _NOT_COUNTED}},
        size=0,
        aggs=aggs,
        track_total_hits=False,
        allow_partial_search_results=False,
        ignore_unavailable=True,
    )
    found: dict[str, Any] = answer.get("aggregations", {})
    return found
