"""A proxy before a true Elasticsearch, which answers in its place, late or by halves as a test tells it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Answer:
    """What the proxy says in place of the server. ``send`` bytes of the body are sent, then it hangs up; with
    -1 it hangs up without a word."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    send: int | None = None


Behaviour = Callable[[str, bytes], Answer | None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked is gone; tests of deaths need no traceback for it."""


class Proxy:
    """Passes requests on unless ``behaviour(path, body)`` answers; ``halve`` cuts true bulk answers off.

    All requests are kept in ``seen``, unless ``keep`` is False. Where the server is away, it hangs up.
    """

    def __init__(self, target: str, *, keep: bool = True) -> None:
        self.target = urlsplit(target).netloc
        self.behaviour: Behaviour = lambda *_: None
        self.halve = False
        self.product = "Elasticsearch"
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body of an answer go out one by one, and shall not wait for each other's receipt.
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if keep:
                    proxy.seen.append((self.path, dict(self.headers), body))
                answer = proxy.behaviour(self.path, body) or proxy.forward(self, body)
                self.reply(answer)

            def reply(self, answer: Answer) -> None:
                if answer.send == -1:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in {"content-type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("x-elastic-product", proxy.product)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[: answer.send])
                self.wfile.flush()
                self.close_connection = self.close_connection or answer.send is not None

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """The true server's answer."""
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        answer = self.ask(request.command, request.path, body, headers)
        if self.halve and "_bulk" in request.path and answer.send is None:
            answer.send = len(answer.body) // 2
        return answer

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """What the true server answers to a request."""
        connection = http.client.HTTPConnection(self.target)
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return Answer(send=-1)
        finally:
            connection.close()
        kind = response.headers.get("content-type", "application/json")
        return Answer(response.status, content, {"content-type": kind})

    def close(self) -> None:
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
