"""`check --servers` against true servers: what is fine, and each thing that is not."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.app.brokers import Brokers
from pipeline.app.kafka_rights import ALL, MAKING
from pipeline.app.server_checks import look_at_servers, skewed, unsupported
from pipeline.app.site import now
from pipeline.app.topics import admin_client, ensure_topics
from pipeline.core.settings import ElasticsearchSettings, EnrichSettings, KafkaSettings, Secret, Settings
from sinks import elastic
from sinks.elastic import client_for
from testkit.secured.elasticsearch import SecuredElasticsearch
from testkit.secured.kafka import SecuredKafka

Make = Callable[..., Brokers]
NOBODY = ElasticsearchSettings(url="http://127.0.0.1:1")


def looked(kafka: KafkaSettings, elasticsearch: ElasticsearchSettings, home: Path) -> dict[str, Any]:
    """Each matter of both servers, `part name` to detail and problems."""
    settings = Settings(
        kafka=kafka, elasticsearch=elasticsearch, enrich=EnrichSettings(steps=("language", "sentiment"))
    )
    found = look_at_servers(settings, home, now)
    return {f"{one.part} {one.name}": (one.detail, list(one.problems)) for one in found}


def test_all_is_well_before_the_first_start_and_after_it(
    safe_kafka: SecuredKafka, search: ElasticsearchSettings, brokers: Make, prefix: str, tmp_path: Path
) -> None:
    there = brokers()
    user = there.settings.username
    topics = [("topic", f"{prefix}.", operation) for operation in (*ALL, *MAKING, "READ", "WRITE")]
    safe_kafka.allow(user, [*topics, ("group", f"{prefix}-", "READ")])
    before = looked(there.settings, search, tmp_path)
    assert not any(problems for _, problems in before.values()), before
    assert before[f"kafka {there}"][0] == f"1 broker, TLS, signed in as {user} by SCRAM-SHA-512"
    assert before[f"topics {prefix}.*"][0] == "0 there, 7 to be made at the first start"
    assert before["rights kafka"][0] == before["rights elasticsearch"][0] == "all that the roles need"
    assert f"{prefix}-posts is missing" in before[f"templates {prefix}-*"][0]
    with closing(admin_client(there)) as admin:
        assert not [name for name in admin.list_topics() if name.startswith(prefix)], "it made none"

    ensure_topics(there, there.settings)
    with closing(client_for(search, search.url)) as client:
        elastic.prepare(client, search)
        older = {"mappings": {"properties": {"id": {"type": "keyword"}}}}
        name, pattern = f"{prefix}-posts", f"{prefix}-posts-*"
        client.indices.put_index_template(name=name, index_patterns=[pattern], template=older, priority=500)
        after = looked(there.settings, search, tmp_path)
        elastic.drop(client, prefix)
    assert after[f"topics {prefix}.*"] == ("7 there", [])
    assert f"{prefix}-posts is older" in after[f"templates {prefix}-*"][0]
    assert after[f"elasticsearch {search.url}"][0].endswith(", green")

    fewer = msgspec.structs.replace(there.settings, partitions=3, replication=2)
    problems = looked(fewer, NOBODY, tmp_path)[f"topics {prefix}.*"][1]
    assert f"topic {prefix}.posts has 4 partitions, but kafka.partitions is 3: set it to 4" in problems
    assert "kafka.replication is 2, but there is 1 broker: set it to 1" in problems


def test_missing_rights_and_topics_are_named(
    safe_kafka: SecuredKafka, brokers: Make, user: str, prefix: str, tmp_path: Path
) -> None:
    there = brokers()
    safe_kafka.allow(user, [("topic", f"{prefix}.", operation) for operation in (*ALL, "READ")])
    found = looked(there.settings, NOBODY, tmp_path)
    assert (
        f"Kafka denies `{user}` CREATE on the missing topic {prefix}.posts: allow it (docs/security.md), or"
        " make it"
    ) in found[f"topics {prefix}.*"][1]
    assert found["rights kafka"][1][0] == (
        f"Kafka denies `{user}` WRITE on the topic {prefix}.posts: allow it (docs/security.md)"
    )
    assert found["elasticsearch http://127.0.0.1:1"][1][0].startswith("Elasticsearch does not answer at ")


def test_a_wrong_password_is_one_problem(brokers: Make, user: str, tmp_path: Path) -> None:
    wrong = brokers(password="hunter2")
    (problem,) = looked(wrong.settings, NOBODY, tmp_path)[f"kafka {wrong}"][1]
    assert f"refuses the sign-in of `{user}`" in problem
    assert "hunter2" not in problem


def test_a_broker_that_sends_its_clients_astray_is_named(safe_kafka: SecuredKafka, tmp_path: Path) -> None:
    lost = KafkaSettings(bootstrap=safe_kafka.addresses["LOST"])
    assert looked(lost, NOBODY, tmp_path)[f"kafka {lost.bootstrap}"][1] == [
        f"Kafka at {lost.bootstrap} sends its clients to 127.0.0.1:1, which nobody can reach from here"
        " (Connection refused): set advertised.listeners of that broker"
    ]


def test_what_is_wrong_with_elasticsearch_is_named(
    safe_elasticsearch: SecuredElasticsearch, prefix: str, tmp_path: Path
) -> None:
    nobody = KafkaSettings(bootstrap="127.0.0.1:1")

    def problem(**changed: Any) -> str:
        settings = msgspec.structs.replace(safe_elasticsearch.settings(prefix), **changed)
        (found,) = looked(nobody, settings, tmp_path)[f"elasticsearch {settings.url}"][1]
        return str(found)

    assert "refuses the sign-in" in problem(username="nobody", password=Secret("hunter2"))
    assert "hunter2" not in problem(username="nobody", password=Secret("hunter2"))
    assert "no trusted connection to https://" in problem(ca_file=None)
    plain = safe_elasticsearch.url.replace("https:", "http:")
    assert problem(url=plain) == (
        f"Elasticsearch at {plain} speaks https: set elasticsearch.url to {safe_elasticsearch.url}"
    )


def test_versions_that_are_too_old_or_too_new() -> None:
    assert unsupported("8.19.3") == unsupported("9.5.3") == ""
    assert unsupported("7.17.0") == "Elasticsearch 7.17.0 is not supported: run 8.x or 9.x"
    assert unsupported("10.0.0-SNAPSHOT") != ""


@pytest.mark.parametrize(("seconds", "wrong"), [(0, False), (29, False), (-3600, True), (31, True)])
def test_clocks_that_are_apart(seconds: int, wrong: bool) -> None:
    moment = datetime(2026, 11, 22, 12, tzinfo=UTC)
    told = format_datetime(moment + timedelta(seconds=seconds), usegmt=True)
    assert bool(skewed(told, moment)) is wrong
    assert skewed(None, moment) == skewed("nonsense", moment) == ""


def test_tls_is_never_without_a_check(authority: Any) -> None:
    settings = KafkaSettings(security_protocol="SSL", ca_file=authority.file)
    context = Brokers("k:1", settings).for_kafka_python()["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
