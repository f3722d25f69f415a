"""An Elasticsearch that answers, but slowly, ends no role: to wait for it is no stall."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pipeline.embedded.servers import Addresses
from testkit.installation import Installation

Posts = Callable[[int], list[dict[str, Any]]]
DELAY = 1.5


@contextmanager
def delayed(elasticsearch: str, slow: threading.Event) -> Iterator[str]:
    """Passes all on, and while it is ``slow`` only after a while; but for the question after its health,
    which a busy server answers at once."""
    target = urlsplit(elasticsearch).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if slow.is_set() and not self.path.startswith("/_cluster/health"):
                time.sleep(DELAY)
            connection = http.client.HTTPConnection(target)
            heads = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, self.path, body or None, heads)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            self.send_response(response.status)
            self.send_header("content-type", response.headers.get("content-type", "application/json"))
            self.send_header("x-elastic-product", "Elasticsearch")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
        daemon.wait_until_ready(installation.home, "127.0.0.1", 60)
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
