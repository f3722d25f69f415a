"""What an account needs to be allowed in Elasticsearch, and what the server says of that.

configs/deploy/elasticsearch-role.json is the same as a role to give; a test holds the two together, and
both against a true server.
"""

from __future__ import annotations

from typing import Any

import msgspec
from elasticsearch import ApiError, Elasticsearch

from pipeline.core.settings import ElasticsearchSettings
from sinks._client import answering, request
from sinks._template import template_for
from sinks.store import fields_of

CLUSTER = ("monitor", "manage_index_templates")
INDICES = ("read", "write", "manage")
"""On all indices and aliases of the prefix."""

STORES = ("cases", "answers", "customers", "authors", "tidying")
"""The kinds of :class:`sinks.store.Store` that there are."""


def lacking(client: Elasticsearch, prefix: str) -> list[str] | None:
    """A sentence for each group of privileges that the account has not; None where security is off, and
    everybody may do anything. Raises RetryableError, ConfigError."""
    pattern = f"{prefix}-*"
    wanted = {"cluster": CLUSTER, "index": [{"names": [pattern], "privileges": INDICES}]}
    with answering(client, "the account's rights"):
        try:
            body = msgspec.json.encode(wanted)
            told = request(client, "POST", "/_security/user/_has_privileges", body)
        except ApiError as error:
            if error.status_code in (401, 403, 429) or error.status_code > 500:
                raise
            return None
    found = []
    if missing := [name for name in CLUSTER if not told["cluster"].get(name)]:
        found.append(_denial(", ".join(missing), "the cluster"))
    held = told["index"].get(pattern, {})
    if missing := [name for name in INDICES if not held.get(name)]:
        found.append(_denial(", ".join(missing), f"the indices {pattern}"))
    return found


def _denial(privileges: str, what: str) -> str:
    return f"Elasticsearch denies this account {privileges} on {what}: give it the role of docs/security.md"


def templates(client: Elasticsearch, settings: ElasticsearchSettings) -> dict[str, str]:
    """The name of each template that we put there to its state: missing, older (or otherwise another), ours.

    Raises RetryableError, ConfigError.
    """
    prefix = settings.prefix
    with answering(client, "the index templates"):
        answer = client.options(ignore_status=404).indices.get_index_template(name=f"{prefix}-*")
    held: dict[str, Any] = {
        entry["name"]: entry["index_template"]["template"].get("mappings", {}).get("properties")
        for entry in answer.get("index_templates", [])
    }
    posts = [template_for(settings, english=english)["mappings"]["properties"] for english in (True, False)]
    wanted = {f"{prefix}-posts": posts, **{f"{prefix}-{kind}": [fields_of(kind)] for kind in STORES}}
    return {
        name: "missing" if name not in held else "ours" if held[name] in forms else "older"
        for name, forms in wanted.items()
    }
