"""Recorded exchanges, played to whoever asks the same again.

The form is that of the shared payloads: one JSON object a line with ``method``, ``uri``, ``status``,
``headers`` and ``body``.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from testkit.platform.answers import Answer, Asked, refusal

# Of how the recorded body stood on its wire, and no longer does.
_OF_THE_WIRE = {"content-length", "content-encoding", "transfer-encoding", "connection"}


class Exchange(Struct, frozen=True):
    """One request and what was answered. ``body`` is JSON, or text as it was."""

    method: str
    uri: str
    status: int
    headers: Mapping[str, str] = {}
    body: Any = None

    def answer(self) -> Answer:
        """What was answered."""
        text = self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_THE_WIRE}
        return Answer(status=self.status, headers=headers, wrap=lambda _: text.encode())


class Player:
    """Answers with the recorded exchanges: each path in the recorded order, its last one ever again.

    ``ignored`` names parameters that need not be equal (times, keys, counters); a request that was not
    recorded gets 404 and is kept in ``unknown``.
    """

    def __init__(self, exchanges: Iterable[Exchange], ignored: Iterable[str] = ()) -> None:
        self._ignored = frozenset(ignored)
        self._recorded: dict[Any, list[Exchange]] = {}
        self.unknown: list[Asked] = []
        for exchange in exchanges:
            parts = urlsplit(exchange.uri)
            key = self._key(exchange.method, parts.path, parse_qs(parts.query, keep_blank_values=True))
            self._recorded.setdefault(key, []).append(exchange)

    def __call__(self, asked: Asked) -> Answer:
        """What was answered to this request when it was recorded."""
        rest = self._recorded.get(self._key(asked.method, asked.path, asked.query))
        if rest is None:
            self.unknown.append(asked)
            return refusal(404, {"error": f"nobody recorded {asked.method} {asked.path}"})
        return (rest.pop(0) if len(rest) > 1 else rest[0]).answer()

    def _key(self, method: str, path: str, query: Mapping[str, list[str]]) -> Any:
        kept = sorted((name, tuple(values)) for name, values in query.items() if name not in self._ignored)
        return method, path, tuple(kept)


def read_exchanges(path: Path) -> list[Exchange]:
    """The exchanges of a file of JSON Lines, plain or gzip."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [
        Exchange(row["method"], row["uri"], row["status"], row.get("headers") or {}, row.get("body"))
        for row in rows
    ]
