"""What is asked of a person before the index is dropped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch


def agreed(client: Elasticsearch, prefix: str, source: str) -> bool:
    """Whether a person at the terminal says yes to an index made anew from ``source``; where nobody sits: no.

    The question says how much is dropped, for ``source`` may hold less. Raises RetryableError, ConfigError.
    """
    from sinks.months import indices

    if not sys.stdin.isatty():
        return False
    posts = sum(index.posts for index in indices(client, prefix))
    held = f"all indices of {prefix}-, which hold {posts} posts"
    return input(f"Drop {held}, and write them anew from {source}? Type yes: ").strip() == "yes"
