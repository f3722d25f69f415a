"""Servers with security on, started once a session, and users that no other test has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.app.brokers import Brokers
from pipeline.core.settings import ElasticsearchSettings, Secret
from testkit.platform.certificate import openssl
from testkit.secured.authority import Authority
from testkit.secured.elasticsearch import SecuredElasticsearch, secured_elasticsearch
from testkit.secured.kafka import SecuredKafka, secured_kafka
from testkit.secured.starting import passing_home

ROLE_FILE = Path(__file__).parents[2] / "configs" / "deploy" / "elasticsearch-role.json"
PASSWORD = "a password; with, all=that"
"""What SCRAM, JAAS and shells each have a meaning for."""

if openssl() is None:
    pytest.skip("needs the program openssl", allow_module_level=True)


@pytest.fixture(scope="session")
def secured_home() -> Iterator[Path]:
    """A home that the servers' user can enter."""
    with passing_home("groundswell-secured-") as home:
        yield home


@pytest.fixture(scope="session")
def authority(secured_home: Path) -> Authority:
    """The authority of both servers' certificates."""
    return Authority(secured_home / "authority")


@pytest.fixture(scope="session")
def role() -> dict[str, Any]:
    """The role for Elasticsearch that is shipped."""
    shipped: dict[str, Any] = msgspec.json.decode(ROLE_FILE.read_bytes())
    return shipped


@pytest.fixture(scope="session")
def safe_elasticsearch(
    secured_home: Path, authority: Authority, role: dict[str, Any]
) -> Iterator[SecuredElasticsearch]:
    """Elasticsearch with TLS; the user `groundswell` has the shipped role."""
    certificate = authority.issue("elasticsearch")
    with secured_elasticsearch(secured_home, authority, certificate, {"groundswell": role}) as server:
        yield server


@pytest.fixture(scope="session")
def safe_kafka(secured_home: Path, authority: Authority) -> Iterator[SecuredKafka]:
    """Kafka with TLS, sign-in and rights."""
    with secured_kafka(secured_home, authority, authority.issue("kafka")) as server:
        yield server


@pytest.fixture
def key(safe_elasticsearch: SecuredElasticsearch, role: dict[str, Any], prefix: str) -> Secret:
    """An API key with the shipped role, on this test's indices."""
    (indices,) = role["indices"]
    return safe_elasticsearch.key({**role, "indices": [{**indices, "names": [f"{prefix}-*"]}]})


@pytest.fixture
def search(safe_elasticsearch: SecuredElasticsearch, key: Secret, prefix: str) -> ElasticsearchSettings:
    """Elasticsearch as who has that key meets it."""
    return safe_elasticsearch.settings(prefix, api_key=key)


@pytest.fixture
def user(safe_kafka: SecuredKafka, prefix: str) -> str:
    """A user without rights."""
    safe_kafka.user(prefix, PASSWORD)
    return prefix


@pytest.fixture
def brokers(safe_kafka: SecuredKafka, prefix: str, user: str) -> Callable[..., Brokers]:
    """Brokers as that user meets them, with any setting changed."""

    def make(**changed: Any) -> Brokers:
        settings = safe_kafka.settings(prefix, **{"username": user, "password": PASSWORD, **changed})
        return Brokers(settings.bootstrap, settings)

    return make
