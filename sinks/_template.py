"""The index template: what ships with us, what the server at hand adds, and how it is put there.

Mappings only grow: a new field is added to the indices that exist, a changed one cannot be, and that
is for a person to decide; meanwhile it stops no post that fits.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from elasticsearch import BadRequestError, Elasticsearch

from pipeline.core.index_name import alias, undated
from pipeline.core.portions import portions
from pipeline.core.settings import ElasticsearchSettings
from sinks._client import answering, cause_of
from sinks._outcome import said

_log = logging.getLogger("groundswell.sink")

# Above the templates that Elasticsearch brings along, so that none of them claims our names.
PRIORITY = 500

_ENGLISH_LACKS = "analyzer [english] has not been configured"

# In one request: its first line must stay below 4 KiB. Any usual installation is dropped at a stroke.
_NAMES = 25


@cache
def _shipped() -> bytes:
    return (files("configs") / "index-template.json").read_bytes()


def shipped() -> dict[str, Any]:
    """``configs/index-template.json``: the ``settings`` and ``mappings`` of every index of posts."""
    template: dict[str, Any] = msgspec.json.decode(_shipped())
    return template


def template_for(settings: ElasticsearchSettings, *, english: bool) -> dict[str, Any]:
    """The body of the composable index template. ``english`` adds the stemmed field ``text.english``."""
    template = shipped()
    template["settings"]["index"] |= {
        "number_of_shards": settings.shards,
        "number_of_replicas": settings.replicas,
    }
    if english:
        text = template["mappings"]["properties"]["text"]
        text["fields"] = {"english": {"type": "text", "analyzer": "english"}}
    template["aliases"] = {alias(settings.prefix): {}}
    return template


def prepare(client: Elasticsearch, settings: ElasticsearchSettings) -> None:
    """Puts the template there, adds missing fields and the alias to the indices that exist, and makes
    the undated one. Harmless when repeated or done by several workers at once.

    An index that maps a field otherwise keeps it and is told in the log. Raises RetryableError where the
    server is away, ConfigError where a person has to act first.
    """
    prefix = settings.prefix
    with answering(client):
        template = _put(client, settings)
        _make_undated(client, undated(prefix))
        existing = client.indices.get_alias(index=f"{prefix}-posts-*", expand_wildcards="open").body
        for index, held in existing.items():
            _grow(client, index, template["mappings"])
            if alias(prefix) not in held["aliases"]:
                client.indices.put_alias(index=index, name=alias(prefix))


def drop(client: Elasticsearch, prefix: str) -> list[str]:
    """Deletes all indices of posts and returns their names. The template stays, and so does the log.

    Raises RetryableError, ConfigError.
    """
    with answering(client):
        found = client.indices.get_alias(index=f"{alias(prefix)}-*", expand_wildcards="all").body
        # The undated one goes first, for it tells running sinks that the rest is going too.
        names = sorted(found, reverse=True)
        for some in portions(names, _NAMES):
            # By name, for many clusters forbid to delete by pattern.
            client.indices.delete(index=some, ignore_unavailable=True)
    return names


def _put(client: Elasticsearch, settings: ElasticsearchSettings) -> dict[str, Any]:
    """Puts the template that suits the server, and returns it.

    The full distribution has the English analyzer, the one that `groundswell up` starts has not. Asking for
    it beforehand would need a right to manage the whole cluster; a template with it is refused without.
    """
    for english in (True, False):
        template = template_for(settings, english=english)
        try:
            client.indices.put_index_template(
                name=f"{settings.prefix}-posts",
                index_patterns=[f"{settings.prefix}-posts-*"],
                template=template,
                priority=PRIORITY,
            )
            break
        except BadRequestError as error:
            if not english or _ENGLISH_LACKS not in said(cause_of(error)):
                raise
    return template


def _make_undated(client: Elasticsearch, index: str) -> None:
    """There from the start, so that an empty installation can be queried."""
    try:
        client.indices.create(index=index)
    except BadRequestError as error:
        if cause_of(error).type != "resource_already_exists_exception":
            raise


def _grow(client: Elasticsearch, index: str, mappings: dict[str, Any]) -> None:
    """Adds what can be added. A field mapped otherwise stays as it is: Elasticsearch refuses
    the posts that do not fit it, one by one, and all others go on."""
    fields = mappings["properties"]
    try:
        client.indices.put_mapping(index=index, properties=fields, dynamic="false")
    except BadRequestError:
        _grow_one_by_one(client, index, fields)


def _grow_one_by_one(client: Elasticsearch, index: str, fields: dict[str, Any]) -> None:
    """For an index where some fields do not fit: the others are added, and the log names those."""
    reasons = []
    for name, field in fields.items():
        try:
            client.indices.put_mapping(index=index, properties={name: field}, dynamic="false")
        except BadRequestError as error:
            reasons.append(said(cause_of(error)))
    _log.error(
        "index %s maps %d fields otherwise (%s): posts that do not fit are set aside; `groundswell rebuild`"
        " makes it anew from the log, then `groundswell rejected replay --stage index` clears the list",
        index,
        len(reasons),
        "; ".join(reasons),
    )
