"""Customers by whatever somebody knows of them: the best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elasticsearch import Elasticsearch

from pipeline.app.customers.cells import Unreadable, email_of
from pipeline.app.customers.columns import SOURCES
from pipeline.app.customers.stage import KIND
from pipeline.core.errors import ConfigError
from pipeline.core.handles import normal_handle
from pipeline.core.settings import ElasticsearchSettings
from pipeline.identity.phones import e164
from sinks.store import Store

Query = dict[str, Any]

_LONGEST = 500
_NEAREST = 5
_BEST_FIRST = ({"_score": "desc"}, {"id": "asc"})


def find(
    client: Elasticsearch, settings: ElasticsearchSettings, text: str, region: str, limit: int | None = None
) -> list[dict[str, Any]]:
    """The customers' records, the best first, at most ``limit``. ConfigError for no text; RetryableError."""
    text = text.strip()
    if not text or len(text) > _LONGEST:
        raise ConfigError(f"say in 1 to {_LONGEST} characters whom to look for")
    store = Store(client, settings, KIND)
    found = store.search(query_of(text, region), sort=_BEST_FIRST, limit=limit)
    return [one.source for one in found]


def query_of(text: str, region: str) -> Query:
    """The question: what names one customer goes before what several may share, a name comes last."""
    wanted: list[Query] = [_exact("id", [text], 1000), _begins("id", text, 100)]
    try:
        wanted.append(_exact("emails", [email_of(text)], 900))
    except Unreadable:
        wanted.append(_begins("emails", text.lower(), 50))
    if phone := e164(text, region):
        wanted.append(_exact("phones", [phone], 900))
    handles = {normal_handle(source, text) for source in SOURCES} - {""}
    if handles:
        wanted.append(_exact("accounts.handle", sorted(handles), 800))
    wanted.append(_exact("accounts.id", [text], 800))
    name = {"query": text, "operator": "and"}
    wanted += [
        {"match": {"name": {**name, "boost": 4}}},
        {"match": {"name": {**name, "fuzziness": "AUTO"}}},
        {"match_phrase_prefix": {"name": {"query": text, "boost": 2}}},
    ]
    return {"bool": {"should": wanted, "minimum_should_match": 1}}


def _exact(field: str, values: Sequence[str], boost: float) -> Query:
    return {"constant_score": {"filter": {"terms": {field: list(values)}}, "boost": boost}}


def _begins(field: str, text: str, boost: float) -> Query:
    # A prefix query scores all that it finds alike.
    return {"prefix": {field: {"value": text, "case_insensitive": True, "boost": boost}}}


def nearest(store: Store, customer_id: str) -> list[str]:
    """Ids that are much like this one, the most like first."""
    wanted = [
        {"term": {"id": {"value": customer_id, "case_insensitive": True, "boost": 100}}},
        {"fuzzy": {"id": {"value": customer_id[:200], "fuzziness": "2", "boost": 10}}},
        _begins("id", customer_id, 1),
    ]
    found = store.search({"bool": {"should": wanted}}, sort=_BEST_FIRST, limit=_NEAREST)
    return [one.source["id"] for one in found]
