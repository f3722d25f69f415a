"""Everything known of one customer: what the books say, what they posted where, what is open."""

from __future__ import annotations

from typing import Any

from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.app.customers.finding import nearest
from pipeline.app.customers.stage import KIND
from pipeline.core.errors import ConfigError
from pipeline.core.index_name import alias
from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import answering
from sinks.store import Store

LAST = 5
"""Posts that are shown."""

_FIELDS = (
    "id",
    "source",
    "created_at",
    "text",
    "url",
    "author.handle",
    "sentiment.label",
    "complaint.is_complaint",
    "complaint.category",
)
_MOST_CASES = 50


class Portrait(Struct, frozen=True, kw_only=True):
    """``customer`` is the record as the index holds it. Times are RFC 3339; None where there is no post.

    ``sentiment`` is the mean compound of all posts that have one. ``last_posts`` begin with the newest.
    """

    customer: dict[str, Any]
    posts: int
    first_seen: str | None
    last_seen: str | None
    posts_by_source: dict[str, int]
    complaints: int
    sentiment: float | None
    last_posts: list[dict[str, Any]]
    open_cases: list[dict[str, Any]]


def portrait_of(client: Elasticsearch, settings: ElasticsearchSettings, customer_id: str) -> Portrait:
    """The customer of that id. ConfigError with the nearest ids where there is none; RetryableError."""
    store = Store(client, settings, KIND)
    found = store.get([customer_id]).get(customer_id)
    if found is None:
        raise ConfigError(_nobody(customer_id, nearest(store, customer_id)))
    answer = _posts(client, settings, customer_id)
    total = answer["hits"]["total"]["value"]
    tallies = answer.get("aggregations")
    return Portrait(
        customer=found.source,
        posts=total,
        first_seen=tallies["first"].get("value_as_string") if tallies else None,
        last_seen=tallies["last"].get("value_as_string") if tallies else None,
        posts_by_source={one["key"]: one["doc_count"] for one in tallies["sources"]["buckets"]}
        if tallies
        else {},
        complaints=tallies["complaints"]["doc_count"] if tallies else 0,
        sentiment=tallies["sentiment"]["value"] if tallies else None,
        last_posts=[hit["_source"] for hit in answer["hits"]["hits"]],
        open_cases=_cases(client, settings, customer_id),
    )


def _nobody(customer_id: str, near: list[str]) -> str:
    hint = f"nearest are {', '.join(f'`{one}`' for one in near)}; " if near else ""
    return (
        f"there is no customer `{customer_id}`: {hint}see `groundswell customer find TEXT`; who was"
        " imported just now is here once the daemon's role `directory` has read it"
    )


def _posts(client: Elasticsearch, settings: ElasticsearchSettings, customer_id: str) -> Any:
    with answering(client):
        return client.search(
            index=alias(settings.prefix),
            query={
                "bool": {
                    "filter": [{"term": {"customer.id": customer_id}}],
                    "must_not": [{"term": {"deleted": True}}],
                }
            },
            aggs={
                "first": {"min": {"field": "created_at"}},
                "last": {"max": {"field": "created_at"}},
                "sources": {"terms": {"field": "source", "size": 100}},
                "complaints": {"filter": {"term": {"complaint.is_complaint": True}}},
                "sentiment": {"avg": {"field": "sentiment.compound"}},
            },
            sort=[
                {"created_at": {"order": "desc", "missing": "_last", "unmapped_type": "date"}},
                {"id": {"order": "asc", "unmapped_type": "keyword"}},
            ],
            source={"includes": list(_FIELDS)},
            size=LAST,
            track_total_hits=True,
            ignore_unavailable=True,
            allow_partial_search_results=False,
        )


def _cases(client: Elasticsearch, settings: ElasticsearchSettings, customer_id: str) -> list[dict[str, Any]]:
    """The cases that nobody has resolved, the most pressing first; none where there are no cases at all."""
    query = {
        "bool": {
            "filter": [{"term": {"customer.id": customer_id}}],
            "must_not": [{"term": {"state": "resolved"}}],
        }
    }
    order = (
        {"priority": {"order": "asc", "unmapped_type": "long"}},
        {"id": {"order": "asc", "unmapped_type": "keyword"}},
    )
    found = Store(client, settings, "cases").search(query, sort=order, limit=_MOST_CASES)
    return [one.source for one in found]
