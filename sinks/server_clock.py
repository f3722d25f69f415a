"""The time by the clocks of Elasticsearch's nodes."""

from __future__ import annotations

from datetime import UTC, datetime

from elasticsearch import Elasticsearch

from sinks._client import answering


def server_times(client: Elasticsearch) -> list[datetime]:
    """What time it is at each node. Raises RetryableError, ConfigError."""
    with answering(client, "the clocks of Elasticsearch"):
        told = client.nodes.stats(metric="os", filter_path="nodes.*.timestamp")
    return [datetime.fromtimestamp(node["timestamp"] / 1000, UTC) for node in told.get("nodes", {}).values()]
