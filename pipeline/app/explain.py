"""All that is known of one post, gathered from the indices; the reckoning is that of `explanation`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.app.explanation import Judged, Moment, Steps, judged, timeline
from pipeline.app.joining import names_of
from pipeline.app.registry import build_steps
from pipeline.core.errors import FatalError
from pipeline.core.event import Event
from pipeline.core.index_name import alias
from pipeline.core.settings import Settings
from pipeline.core.version_words import VersionParts, parts_of
from sinks.elastic import answering
from sinks.reading import event_of
from sinks.store import Store


class CaseTold(Struct, frozen=True):
    """What support does about the post."""

    id: str
    queue: str = ""
    priority: int | None = None
    state: str = ""
    assignee: str = ""
    posts: int = 0
    opened_at: datetime | None = None
    due_at: datetime | None = None
    first_response_at: datetime | None = None
    resolved_at: datetime | None = None


class Explained(Struct, frozen=True):
    """``customer_name`` is that of the customers' index, empty where it has none. ``answered_at`` is when
    an account of ours first answered the post itself, if the index holds the answer."""

    event: Event
    version: VersionParts
    times: tuple[Moment, ...]
    judged: Judged
    customer_name: str = ""
    case: CaseTold | None = None


def explain(client: Elasticsearch, settings: Settings, post_id: str) -> Explained:
    """What is known of the post. Raises FatalError where the index does not have it; RetryableError."""
    event = _event(client, settings, post_id)
    case = _case(client, settings, post_id)
    steps, problems = todays_steps(settings)
    told = judged(event, steps)
    post = event.post
    answer = case.first_response_at if case and case.first_response_at else _answer(client, settings, post_id)
    times = timeline(
        {
            "created": post.created_at,
            "edited": post.edited_at,
            "collected": post.collected_at,
            "processed": event.processed_at,
            "case opened": case.opened_at if case else None,
            "answer due": _due(event, case),
            "first response": answer,
            "resolved": case.resolved_at if case else None,
        }
    )
    return Explained(
        event,
        parts_of(event.version),
        times,
        msgspec.structs.replace(told, problems=(*problems, *told.problems)) if not post.deleted else told,
        _customer_name(client, settings, event),
        case,
    )


def todays_steps(settings: Settings) -> tuple[Steps, list[str]]:
    """The steps of the settings as far as they can be built, and what hinders the rest."""
    return build_steps(settings)


def _event(client: Elasticsearch, settings: Settings, post_id: str) -> Event:
    """The newest document of that id: there is one index a post, but for the moment of a move."""
    with answering(client):
        answer = client.search(
            index=alias(settings.elasticsearch.prefix),
            query={"ids": {"values": [post_id]}},
            size=10,
            version=True,
            ignore_unavailable=True,
            allow_partial_search_results=False,
        )
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    if not hits:
        raise FatalError(
            f"the index has no post `{post_id}`: ids are like x:2107005952455645816, see `groundswell query`;"
            " what was refused is in `groundswell rejected list`, and what just came is here in a second"
        )
    newest = max(hits, key=lambda hit: int(hit["_version"]))
    return event_of(newest["_source"], newest["_index"])


def _case(client: Elasticsearch, settings: Settings, post_id: str) -> CaseTold | None:
    """The open case of the post, else its newest."""
    store = Store(client, settings.elasticsearch, "cases")
    found = [
        one.source for one in store.search({"term": {"posts": post_id}}, sort=({"_doc": "asc"},), limit=100)
    ]
    if not found:
        return None
    newest = max(found, key=lambda one: (one.get("state") != "resolved", str(one.get("opened_at", ""))))
    return msgspec.convert({**newest, "posts": len(_listed(newest.get("posts")))}, CaseTold)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _due(event: Event, case: CaseTold | None) -> datetime | None:
    if case and case.due_at:
        return case.due_at
    return min((route.due_at for route in event.routes if route.due_at), default=None)


def _answer(client: Elasticsearch, settings: Settings, post_id: str) -> datetime | None:
    """When an account of ours first answered this very post, as far as the index tells."""
    with answering(client):
        answer = client.search(
            index=alias(settings.elasticsearch.prefix),
            query={
                "bool": {
                    "filter": [
                        {"term": {"in_reply_to": post_id}},
                        {"term": {"direction": "outbound"}},
                        {"exists": {"field": "created_at"}},
                    ]
                }
            },
            sort=[{"created_at": {"order": "asc", "unmapped_type": "date"}}],
            size=1,
            source_includes=["created_at"],
            ignore_unavailable=True,
            allow_partial_search_results=False,
        )
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return msgspec.convert(hits[0]["_source"]["created_at"], datetime) if hits else None


def _customer_name(client: Elasticsearch, settings: Settings, event: Event) -> str:
    if event.customer is None:
        return ""
    customers = Store(client, settings.elasticsearch, "customers")
    return names_of([event.customer.id], customers).get(event.customer.id, "")
