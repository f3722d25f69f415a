"""Each secret of the settings is planted, and clients fail with it in their words: no line shows it."""

from __future__ import annotations

import argparse
import io
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
import requests
from confluent_kafka import KafkaException
from confluent_kafka import Producer as ConfluentProducer
from elasticsearch import ApiError, Elasticsearch

from pipeline.app import logs
from pipeline.app.brokers import Brokers
from pipeline.app.configuration import settings_for
from pipeline.app.health import Health
from pipeline.app.log_lines import Ecs, Readable
from pipeline.app.meters import Meters
from pipeline.app.registry import check_connectors, known, load
from pipeline.app.standing import Watch
from pipeline.core.schema import bare
from pipeline.core.settings import Secret, Settings
from sinks.elastic import client_for

FILE = """
[kafka]
security_protocol = "SASL_PLAINTEXT"
username = "ann"
[elasticsearch]
{elastic}
[connectors.red]
kind = "reddit"
client_id = "groundswell-app"
subreddits = ["acme"]
[connectors.ex]
kind = "x"
rules = {{ late = "late" }}
"""
PLANTED = {
    "kafka.password": "GROUNDSWELL_KAFKA_PASSWORD",
    "elasticsearch.password": "GROUNDSWELL_ELASTICSEARCH_PASSWORD",
    "elasticsearch.api_key": "GROUNDSWELL_ELASTICSEARCH_API_KEY",
    "reddit.client_secret": "GROUNDSWELL_CONNECTORS_RED_CLIENT_SECRET",
    "x.bearer_token": "GROUNDSWELL_CONNECTORS_EX_BEARER_TOKEN",
}


def value_of(name: str) -> str:
    odd = "" if name == "elasticsearch.api_key" else " 'and é'"
    return f'pl4nted/{name}+s3cret\\"quoted"{odd}'


class Echo(BaseHTTPRequestHandler):
    """Answers 400 with the headers that it was asked with, as some proxies do."""

    def do_GET(self) -> None:
        body = msgspec.json.encode(
            {"error": {"type": "echo", "reason": str(dict(self.headers))}, "status": 400}
        )
        self.send_response(400)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_secret_of_any_settings_is_missing_here() -> None:
    parts = {"kafka": Settings().kafka, "elasticsearch": Settings().elasticsearch}
    kinds = {name: type(part) for name, part in parts.items()}
    kinds |= {name: load("connectors", name).SETTINGS for name in known("connectors")}
    kinds |= {name: load("enrichers", name).SETTINGS for name in known("enrichers")}
    found = {
        f"{name}.{field.encode_name}"
        for name, kind in kinds.items()
        for field in msgspec.structs.fields(kind)
        if bare(field.type) is Secret
    }
    assert found == set(PLANTED)


def planted(monkeypatch: pytest.MonkeyPatch, folder: Path, api_key: bool) -> Settings:
    """The settings as a command reads them, with all secrets in them and known to the log."""
    for name, variable in PLANTED.items():
        if name != ("elasticsearch.password" if api_key else "elasticsearch.api_key"):
            monkeypatch.setenv(variable, value_of(name))
    file = folder / "groundswell.toml"
    file.write_text(FILE.format(elastic="" if api_key else 'username = "ann"'))
    monkeypatch.setenv("GROUNDSWELL_HOME", str(folder))
    settings = settings_for(argparse.Namespace(config=str(file)))
    check_connectors(settings.connectors)
    return settings


def failures(settings: Settings, echo: str) -> Iterator[Exception]:
    """What clients raise that were given the secrets."""
    client = client_for(settings.elasticsearch, echo)
    with pytest.raises(ApiError) as refused:
        client.perform_request("GET", "/_cluster/health")
    yield refused.value
    client.close()
    with pytest.raises(KafkaException) as unknown:
        ConfluentProducer({**Brokers("127.0.0.1:1", settings.kafka).for_confluent(), "no.such": "x"})
    yield unknown.value
    yield ValueError(f"a client was made with {Brokers('127.0.0.1:1', settings.kafka).for_confluent()}")
    unset = "elasticsearch.password" if settings.elasticsearch.api_key else "elasticsearch.api_key"
    for name in set(PLANTED) - {unset}:
        secret = value_of(name)
        with pytest.raises(requests.RequestException) as away:
            requests.get("http://127.0.0.1:1/token", params={"q": secret}, timeout=5)
        yield away.value
        yield RuntimeError(f"sent { ({'Authorization': f'Bearer {secret}'})!r} and {secret.encode()!r}")


@pytest.mark.parametrize("form", [Readable, Ecs])
@pytest.mark.parametrize("api_key", [True, False])
def test_errors_of_clients_show_no_secret(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    echo: str,
    api_key: bool,
    form: type[Readable] | type[Ecs],
) -> None:
    settings = planted(monkeypatch, tmp_path, api_key)
    stream = io.StringIO()
    log = logging.Logger("groundswell.test")
    log.addHandler(logs.Out(form("collect", logs._concealment), stream, limit=0))
    shown = 0
    for error in failures(settings, echo):
        shown += any("pl4nted" in text for text in (str(error), repr(error.args)))
        try:
            raise error
        except Exception:
            log.exception("it failed with %s for %r", error, error)
    said = stream.getvalue()
    assert shown > 4, "the errors themselves do show secrets"
    assert "***" in said
    for trail in ("pl4nted", "s3cret", "cGw0bnRlZ"):
        assert trail not in said
    assert len(said.splitlines()) > 10


def test_a_complaint_of_a_command_shows_none_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planted(monkeypatch, tmp_path, True)
    for name in PLANTED:
        if name != "elasticsearch.password":
            assert value_of(name) not in logs.concealed(f"groundswell: no {value_of(name)} here")


def test_the_pages_of_a_role_show_none_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planted(monkeypatch, tmp_path, True)
    health, watch = Health("collect", Meters()), Watch("red", "reddit", 120.0)
    for name in set(PLANTED) - {"elasticsearch.password"}:
        reason = f"an unforeseen fault: ValueError: {value_of(name)!r}"
        health.waits("kafka", reason)
        watch.stands("rests", reason, 5.0)
        assert health.reasons["kafka"] == watch.standing.reason
        assert "***" in watch.standing.reason
        assert "s3cret" not in watch.standing.reason


def test_a_client_of_another_shape_shows_none_of_an_address(tmp_path: Path) -> None:
    stream = io.StringIO()
    log = logging.Logger("groundswell.test")
    log.addHandler(logs.Out(Ecs("index", logs._concealment), stream))
    client = Elasticsearch("http://ann:unknown-to-all@127.0.0.1:1", max_retries=0)
    with suppress(Exception):
        client.info()
    log.error("cannot reach http://ann:unknown-to-all@127.0.0.1:1/: %r", client)
    client.close()
    assert "unknown-to-all" not in stream.getvalue()
