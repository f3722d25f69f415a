"""An Elasticsearch that answers badly, by the proxy before it, as true servers and networks do."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from elasticsearch import ApiError, Elasticsearch, TransportError

from testkit.elastic_proxy import Answer, Behaviour, Proxy

SMALL = 50_000
"""Bytes that a proxy takes which calls all more too large; no document of a round has as many."""
_HEALTH = "/_cluster/health"
_HANG_UP = Answer(send=-1)


class Sky:
    """The proxy and the ways in which it misbehaves; ``chance`` picks requests and items."""

    def __init__(self, proxy: Proxy, chance: random.Random) -> None:
        self.proxy = proxy
        self._chance = chance
        self._late: list[threading.Thread] = []
        self._lost: list[tuple[str, bytes]] = []
        self._over = threading.Event()

    @contextmanager
    def bad(self, trouble: str) -> Iterator[None]:
        """Meanwhile it misbehaves so; then it is well again."""
        self._over.clear()
        self.proxy.behaviour = TROUBLES[trouble](self)
        try:
            yield
        finally:
            self.proxy.behaviour = lambda *_: None
            self._over.set()

    def settle(self) -> None:
        """Waits for what is still on its way to the server."""
        for thread in self._late:
            thread.join()

    def arrive(self) -> None:
        """What was thought lost reaches the server once more, now that all else is done."""
        for path, body in self._lost:
            self._ask_late(path, body, 0)
        self._lost.clear()

    def busy(self) -> Behaviour:
        """429 for all."""
        return lambda *_: Answer(429, b'{"error":{"type":"es_rejected_execution_exception"},"status":429}')

    def unavailable(self) -> Behaviour:
        """503 for all, as of a balancer without servers."""
        return lambda *_: Answer(503, b"<html>no server</html>", {"content-type": "text/html"})

    def too_large(self) -> Behaviour:
        """413 for all but small requests."""
        page = Answer(413, b"<html>too large</html>", {"content-type": "text/html"})
        return lambda _, body: page if len(body) > SMALL else None

    def item_busy(self) -> Behaviour:
        """A third of the documents of each bulk is not taken, and the answer, a 200, says so."""

        def act(path: str, body: bytes) -> Answer | None:
            return self._some(path, body) if path.startswith("/_bulk") else None

        return act

    def half(self) -> Behaviour:
        """Bulk requests are carried out; their answers break off in the middle."""

        def act(path: str, body: bytes) -> Answer | None:
            if not path.startswith("/_bulk"):
                return None
            answer = self._ask(path, body)
            answer.send = len(answer.body) // 2
            return answer

        return act

    def hang(self) -> Behaviour:
        """Nothing comes back; every second request was carried out."""

        def act(path: str, body: bytes) -> Answer | None:
            if path.startswith(_HEALTH):
                return None
            if path.startswith("/_bulk") and self._chance.random() < 0.5:
                self._ask(path, body)
            self._over.wait(20)
            return _HANG_UP

        return act

    def hang_up(self) -> Behaviour:
        """The connection ends without a word; every second request was carried out."""

        def act(path: str, body: bytes) -> Answer | None:
            if path.startswith("/_bulk") and self._chance.random() < 0.5:
                self._ask(path, body)
            return _HANG_UP if self._chance.random() < 0.7 else None

        return act

    def late(self) -> Behaviour:
        """Half of the bulk requests are lost to who sent them, and reach the server seconds later, and from a
        proxy that tries again once more when all else is done."""

        def act(path: str, body: bytes) -> Answer | None:
            if not path.startswith("/_bulk") or self._chance.random() < 0.5:
                return None
            self._lost.append((path, body))
            thread = threading.Thread(target=self._ask_late, args=(path, body, self._chance.uniform(2, 12)))
            thread.start()
            self._late.append(thread)
            return _HANG_UP

        return act

    def _ask(self, path: str, body: bytes) -> Answer:
        return self.proxy.ask("POST", path, body, {"content-type": "application/x-ndjson"})

    def _ask_late(self, path: str, body: bytes, seconds: float) -> None:
        time.sleep(seconds)
        while self._ask(path, body).send is not None:
            time.sleep(0.5)  # the server is away: what is on its way waits in the network

    def _some(self, path: str, body: bytes) -> Answer:
        items = list(_items(body))
        kept = [self._chance.random() > 0.3 for _ in items]
        sent = b"".join(item for item, keep in zip(items, kept, strict=True) if keep)
        answer = self._ask(path.partition("?")[0], sent) if sent else Answer(body=b'{"items": []}')
        if answer.status != 200 or answer.send is not None:
            return answer
        answers: Iterator[Any] = iter(json.loads(answer.body)["items"])
        told = [
            next(answers) if keep else {_verb(item): {"status": 429, "error": _FULL}}
            for item, keep in zip(items, kept, strict=True)
        ]
        failed = any("error" in one for item in told for one in item.values())
        return Answer(200, json.dumps({"took": 1, "errors": failed, "items": told}).encode())


_FULL = {"type": "es_rejected_execution_exception", "reason": "queue capacity = 10000"}

TROUBLES: dict[str, Callable[[Sky], Behaviour]] = {
    "busy": Sky.busy,
    "unavailable": Sky.unavailable,
    "too_large": Sky.too_large,
    "item_busy": Sky.item_busy,
    "half": Sky.half,
    "hang": Sky.hang,
    "hang_up": Sky.hang_up,
    "late": Sky.late,
}


def _verb(item: bytes) -> str:
    (verb,) = json.loads(item.partition(b"\n")[0])
    return str(verb)


def _items(body: bytes) -> Iterator[bytes]:
    """What stands in a bulk request for each document: two lines, or one of a deletion."""
    lines = iter(body.splitlines(keepends=True))
    for line in lines:
        yield line if line.startswith(b'{"delete"') else line + next(lines)


@contextmanager
def read_only(client: Elasticsearch, pattern: str, block: str) -> Iterator[None]:
    """Meanwhile the indices take no writes. ``block`` is ``write`` or ``read_only_allow_delete``."""
    _insist(client, pattern, {f"index.blocks.{block}": True})
    try:
        yield
    finally:
        _insist(client, pattern, {f"index.blocks.{block}": None})


def _insist(client: Elasticsearch, pattern: str, settings: dict[str, Any]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(ApiError, TransportError):
            client.indices.put_settings(index=pattern, settings=settings, allow_no_indices=True)
            return
        time.sleep(0.5)
    raise AssertionError(f"the settings {settings} are not taken")
