"""An Elasticsearch that answers, but slowly, ends no role: to wait for it is no stall."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from pipeline.embedded.servers import Addresses
from testkit.elastic_proxy import Proxy
from testkit.installation import Installation

Posts = Callable[[int], list[dict[str, Any]]]
DELAY = 1.5


@contextmanager
def delayed(elasticsearch: str, slow: threading.Event) -> Iterator[str]:
    """Passes all on, and while it is ``slow`` only after a while; but for the question after its health,
    which a busy server answers at once."""

    def wait(path: str, _: bytes) -> None:
        if slow.is_set() and not path.startswith("/_cluster/health"):
            time.sleep(DELAY)

    proxy = Proxy(elasticsearch)
    proxy.behaviour = wait
    try:
        yield proxy.url
    finally:
        proxy.close()


def test_slow_answers_end_no_role(servers: Addresses, prefix: str, posts: Posts, tmp_path: Path) -> None:
    slow = threading.Event()
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(post) for post in posts(1500)))
    # As 25 s an answer are to the limits as they are delivered.
    limits = {"GROUNDSWELL_ENGINE_STALL_SECONDS": "3", "GROUNDSWELL_ENGINE_STALL_EXIT_SECONDS": "18"}
    with delayed(servers.elasticsearch, slow) as address:
        installation = Installation(tmp_path / "home", prefix, servers.kafka, address, **limits)
        roles = ("enrich", "index", "directory")
        daemon = installation.daemon(*roles)
        daemon.wait_until_ready(installation.home, "127.0.0.1", 120)
        before = [installation.role_pid(role) for role in roles]
        slow.set()
        try:
            assert installation.command("replay", str(file)).returncode == 0
            installation.settle(daemon, 300)
            assert [installation.role_pid(role) for role in roles] == before
        finally:
            slow.clear()
            installation.close()
    said = (installation.home / "logs" / "run.log").read_text()
    assert "stands still" not in said
