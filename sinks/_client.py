"""The connection to Elasticsearch, and what its failures mean in our own errors.

One address, no retries of the client's own (whoever calls decides what is safe to repeat), and not a
line in anybody's log or warnings. No message shows a credential.
"""

from __future__ import annotations

import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
from elastic_transport import BaseNode, NodePool, Urllib3HttpNode
from elastic_transport._models import DEFAULT, DefaultType, HttpHeaders
from elastic_transport._node import NodeApiResponse
from elasticsearch import (
    ApiError,
    ConnectionTimeout,
    Elasticsearch,
    SerializationError,
    TransportError,
    UnsupportedProductError,
)
from elasticsearch.serializer import JsonSerializer

from pipeline.core.errors import ConfigError, FatalError, GroundswellError, RetryableError
from pipeline.core.settings import ElasticsearchSettings, Secret
from sinks._outcome import Cause, Verdict, judge, said
from sinks._pace import Pace

# Threads of one process that may ask at once; more wait for a connection.
CONNECTIONS = 10

PACE = Pace()
"""Of all clients of this process."""

_JSON = "application/vnd.elasticsearch+json"
_NDJSON = "application/vnd.elasticsearch+x-ndjson"


class _Json(JsonSerializer):
    """The client's own is the standard library's, which takes thrice the time for a page of posts."""

    def json_loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


# Seconds to wait for the shards of an index that somebody makes in this moment.
_STARTING = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


class _Node(Urllib3HttpNode):
    """Lets errors through that are no JSON, keeps the server's advice out of users' terminals, and asks
    again where an index is only just being made."""

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> NodeApiResponse:
        response = self._timed(method, target, body, headers, request_timeout)
        for pause in _STARTING:
            if not _is_starting(target, response):
                break
            time.sleep(pause)
            response = self._timed(method, target, body, headers, request_timeout)
        heads = response.meta.headers
        heads.pop("warning", None)
        # A proxy's 413 or 502 is a page of HTML or nothing; the client would complain of that instead.
        if response.meta.status >= 400 and "json" not in (response.meta.mimetype or ""):
            heads["content-type"] = "text/plain"
        return response

    def _timed(self, *asked: Any) -> NodeApiResponse:
        began = time.monotonic()
        try:
            return super().perform_request(*asked)
        finally:
            now = time.monotonic()
            PACE.note(now - began, now)


def _is_starting(target: str, response: NodeApiResponse) -> bool:
    """Whether a search, or a document of a look-up, was refused for want of a shard."""
    if "/_mget" in target:
        return b'"no_shard_available_action_exception"' in response.body
    asks = "/_search" in target or "/_count" in target
    return asks and response.meta.status == 503 and b"shard" in response.body


class _Pool(NodePool):
    """With one address there is nothing to choose; that it is away is said by whoever needed it."""

    def mark_dead(self, node: BaseNode, _now: float | None = None) -> None:
        pass

    def mark_live(self, node: BaseNode) -> None:
        pass


def client_for(settings: ElasticsearchSettings, url: str) -> Elasticsearch:
    """A client of the server at ``url`` (http or https), signed in as the settings say.

    It connects when first used; close it when done. Raises ConfigError where the certificate file
    cannot be read.
    """
    options: dict[str, Any] = {}
    if settings.api_key:
        options["api_key"] = _whole(settings.api_key)
    elif settings.username:
        options["basic_auth"] = _signed_in(settings)
    if settings.ca_file is not None and url.startswith("https:"):
        options["ssl_context"] = _trusting(settings)
    return Elasticsearch(
        _with_port(url),
        node_class=_Node,
        node_pool_class=_Pool,
        serializers={_JSON: _Json()},
        request_timeout=settings.timeout_seconds,
        connections_per_node=CONNECTIONS,
        max_retries=0,
        **options,
    )


def _whole(key: Secret) -> str:
    """The key; ConfigError where no header holds it, for the message of the library would show it."""
    text = key.reveal()
    if not all("!" <= sign <= "~" for sign in text):
        raise ConfigError(
            "the key in elasticsearch.api_key_file has spaces or other signs that no key has: copy it anew,"
            " whole"
        )
    return text


def _signed_in(settings: ElasticsearchSettings) -> str:
    """In UTF-8, as Elasticsearch reads it; the client itself knows no umlaut."""
    return b64encode(f"{settings.username}:{settings.password.reveal()}".encode()).decode()


def _trusting(settings: ElasticsearchSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except ssl.SSLError:
        raise ConfigError(f"elasticsearch.ca_file {settings.ca_file} holds no certificate (PEM)") from None
    except OSError as error:
        raise ConfigError(f"elasticsearch.ca_file {settings.ca_file}: {error.strerror}") from None


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    if parts.port is not None:
        return url
    port = 443 if parts.scheme == "https" else 80
    return parts._replace(netloc=f"{parts.netloc}:{port}").geturl()


def request(client: Elasticsearch, method: str, path: str, body: bytes = b"", *, lines: bool = False) -> Any:
    """Sends ready-made JSON, or NDJSON where ``lines`` is set, and returns the decoded answer.

    Raises what the elasticsearch client raises; see :func:`answering`.
    """
    headers = {"accept": f"{_JSON}; compatible-with=8"}
    if body:
        headers["content-type"] = f"{_NDJSON if lines else _JSON}; compatible-with=8"
    return client.perform_request(method, path, headers=headers, body=body or None).body


@contextmanager
def answering(client: Elasticsearch, what: str = "the posts indices") -> Iterator[None]:
    """Turns the client's errors inside into ours: RetryableError, ConfigError, and FatalError for a
    request that the server finds faulty. ``what`` names what was asked for."""
    try:
        yield
    except (ApiError, TransportError) as error:
        raise meaning(error, client, what) from error


def meaning(error: ApiError | TransportError, client: Elasticsearch, what: str) -> GroundswellError:
    """The typed error for a request that failed as a whole."""
    url = _address(client)
    if isinstance(error, UnsupportedProductError):
        return ConfigError(f"the server at {url} is no Elasticsearch: set elasticsearch.url")
    if isinstance(error, ApiError):
        return _of_status(error, url, what)
    if isinstance(error, SerializationError):
        return RetryableError(f"Elasticsearch at {url} broke off its answer, or another server answers there")
    if isinstance(error, ConnectionTimeout):
        return RetryableError(f"Elasticsearch at {url} did not answer in time")
    if trouble := _tls(error):
        return ConfigError(
            f"no trusted connection to {url} ({trouble}): set elasticsearch.ca_file or correct the url"
        )
    return RetryableError(
        f"Elasticsearch does not answer at {url}: `groundswell up` starts the embedded one,"
        " or set elasticsearch.url"
    )


def _of_status(error: ApiError, url: str, what: str) -> GroundswellError:
    status, cause = error.status_code, cause_of(error)
    if status == 401:
        return ConfigError(
            f"Elasticsearch at {url} refuses the sign-in: set GROUNDSWELL_ELASTICSEARCH_API_KEY, or"
            " elasticsearch.username and GROUNDSWELL_ELASTICSEARCH_PASSWORD"
        )
    outcome = judge(status, cause, what)
    if outcome.verdict is Verdict.AGAIN:
        return RetryableError(outcome.words, retry_after(error))
    if outcome.verdict is Verdict.MISCONFIGURED:
        return ConfigError(outcome.words)
    return FatalError(
        f"Elasticsearch at {url} refuses a request for {what}: {said(cause) or f'status {status}'}"
    )


def cause_of(error: ApiError) -> Cause:
    """What Elasticsearch says of a failed request, empty where a proxy answered in its place."""
    body = error.body
    inner = body.get("error") if isinstance(body, dict) else None
    if isinstance(inner, str):
        return Cause(reason=inner)
    try:
        return msgspec.convert(inner, Cause)
    except msgspec.ValidationError:
        return Cause()


def retry_after(error: ApiError) -> float | None:
    """The seconds that the server asks to wait, at most a minute; None where it does not say."""
    try:
        return min(max(float(error.meta.headers.get("retry-after") or ""), 0.0), 60.0)
    except ValueError:
        return None


def _tls(error: Exception) -> str:
    """Why the handshake failed for good, empty where it may be chance."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return str(seen.verify_message)
        if isinstance(seen, ssl.SSLError) and seen.reason == "WRONG_VERSION_NUMBER":
            return "the server speaks plain http"
        seen = seen.__cause__ or seen.__context__
    return ""


def _address(client: Elasticsearch) -> str:
    node: BaseNode = client.transport.node_pool.all()[0]
    return node.base_url
