"""The true servers for the tests that need them, started once a session, and names that keep tests apart."""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from hypothesis import settings

from pipeline.app.logs import Out
from pipeline.core.settings import ElasticsearchSettings
from pipeline.embedded.ports import RANGE, is_free
from pipeline.embedded.servers import Addresses, start_elasticsearch, start_kafka, stop
from sinks.elastic import client_for, drop
from testkit.shared import VARIABLE, shared_folder

# Whoever starts the tests in the background lets them ignore SIGINT, and all their children with them;
# the tests of Ctrl-C need it as a terminal gives it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Whoever ends the tests ends the servers that they started, too.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# A test that waits for a busy machine's attention is not wrong; what must be fast is measured elsewhere.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

# An Elasticsearch that runs already, such as one of another line; spares its start as well.
ELSEWHERE = "TEST_ELASTICSEARCH_URL"


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A command that a test calls sets up logging for the whole process; the next test starts afresh."""
    yield
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, Out)]
    logging.getLogger("groundswell").setLevel(logging.NOTSET)


def port() -> int:
    """A free port that nobody else prefers: some tests let the servers go for a while and come back to it."""
    return next(port for port in random.sample(RANGE, 100) if is_free(port))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the shared ``data/``; a test that asks for it is skipped where there is none."""
    folder = shared_folder(Path(__file__))
    if folder is None:
        pytest.skip(f"the shared data are neither beside the repository nor at {VARIABLE}")
    return folder


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """A home for embedded servers, below the system's temporary folder: their unprivileged user must
    be able to enter all folders above it, which it cannot with pytest's own."""
    home = Path(tempfile.mkdtemp(prefix="groundswell-tests-"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def elasticsearch(server_home: Path) -> Iterator[str]:
    """The url of a true Elasticsearch."""
    if url := os.environ.get(ELSEWHERE):
        yield url
        return
    yield start_elasticsearch(server_home, port())
    stop(server_home, "elasticsearch")


@pytest.fixture(scope="session")
def kafka(server_home: Path) -> Iterator[str]:
    """The address of a true Kafka, host:port."""
    yield start_kafka(server_home, port())
    stop(server_home, "kafka")


@pytest.fixture(scope="session")
def servers(kafka: str, elasticsearch: str) -> Addresses:
    """The addresses of both."""
    return Addresses(kafka=kafka, elasticsearch=elasticsearch)


@pytest.fixture
def prefix() -> str:
    """A first part of names that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def elastic_settings(prefix: str, elasticsearch: str) -> ElasticsearchSettings:
    """Settings for indices of this test's own."""
    return ElasticsearchSettings(url=elasticsearch, prefix=prefix)


@pytest.fixture
def client(elastic_settings: ElasticsearchSettings) -> Iterator[Elasticsearch]:
    """A client; at the end the test's indices and templates are removed."""
    client = client_for(elastic_settings, elastic_settings.url)
    yield client
    prefix = elastic_settings.prefix
    drop(client, prefix)
    client.options(ignore_status=404).indices.delete_index_template(name=f"{prefix}-*")
    client.close()
