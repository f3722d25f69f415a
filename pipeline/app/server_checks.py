"""What ``groundswell check --servers`` asks of Kafka and Elasticsearch, and changes nothing by it.

In the order in which things go wrong: is it there, does it let us in, may we do what we must, is what we
need there. A server that cannot be asked further has one problem, not all those that follow from it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from elasticsearch import Elasticsearch
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from enrichers.route import read_router
from pipeline.app import kafka_rights
from pipeline.app.brokers import Brokers
from pipeline.app.checking import Looked, rules_file
from pipeline.app.configuration import brokers_of, elasticsearch_url
from pipeline.app.kafka_entrance import barrier, is_away, speaks_tls
from pipeline.app.topics import admin_client, denial, described, topics_of, unreachable
from pipeline.core.errors import ConfigError, GroundswellError
from pipeline.core.settings import KafkaSettings, Settings
from sinks import rights
from sinks.elastic import answering, client_for

SECONDS = 10.0
"""Longest wait for one answer."""

MAJORS = (8, 9)
"""Lines of Elasticsearch that this client speaks with."""

SKEW_SECONDS = 30.0
"""Clocks further apart than this make ages, due times and indices of months wrong."""

_TRIES = 4
_NONE, _MISSING = 0, 3


def look_at_servers(settings: Settings, home: Path, clock: Callable[[], datetime]) -> list[Looked]:
    """One entry a matter, with its problems; never raises for what a server does or is."""
    return [*_kafka(settings, home), *_elasticsearch(settings, home, clock)]


def _kafka(settings: Settings, home: Path) -> list[Looked]:
    brokers = brokers_of(settings, home)
    try:
        if reason := barrier(brokers):
            return [Looked("kafka", brokers.address, "", (reason,))]
        lost, count = _advertised(brokers)
        if lost:
            return [Looked("kafka", brokers.address, "", tuple(lost))]
        with closing(admin_client(brokers)) as admin:
            found = Looked("kafka", brokers.address, _way_in(settings.kafka, count))
            return [found, *_topics_and_rights(admin, settings, count)]
    except GroundswellError as error:
        return [Looked("kafka", brokers.address, "", (str(error),))]
    except KafkaError as error:
        return [Looked("kafka", brokers.address, "", (f"Kafka at {brokers} broke off: {error}",))]


def _way_in(kafka: KafkaSettings, count: int) -> str:
    way = [f"{count} {'broker' if count == 1 else 'brokers'}", "TLS" if kafka.tls else "not encrypted"]
    if kafka.sasl:
        way.append(f"signed in as {kafka.username} by {kafka.sasl_mechanism}")
    return ", ".join(way)


def _advertised(brokers: Brokers) -> tuple[list[str], int]:
    """A sentence for each broker that tells its clients an address which nobody can reach from here, and how
    many brokers there are. Raises RetryableError when Kafka is away."""
    if is_away(brokers):
        raise unreachable(brokers)
    found = []
    told = _told(brokers)
    for broker in told:
        try:
            socket.create_connection((broker.host, broker.port), SECONDS / 2).close()
        except (OSError, UnicodeError) as error:
            why = (isinstance(error, OSError) and error.strerror) or error
            found.append(
                f"Kafka at {brokers} sends its clients to {broker.host}:{broker.port}, which nobody can reach"
                f" from here ({why}): set advertised.listeners of that broker"
            )
    return found, len(told)


def _told(brokers: Brokers) -> Collection[Any]:
    """The brokers of which Kafka tells its clients. Raises RetryableError when none tells in time."""
    silent: KafkaException | None = None
    for _ in range(_TRIES):
        # This library asks whom it was told, where the other would at once go on to the told address. But at
        # times it has let go of the one that it was given before it asks; a new client has not.
        client = AdminClient({**brokers.for_confluent(), "log_level": 0})
        try:
            return client.list_topics(timeout=SECONDS / _TRIES).brokers.values()
        except KafkaException as error:
            silent = error
    raise unreachable(brokers) from silent


def _topics_and_rights(admin: KafkaAdminClient, settings: Settings, count: int) -> list[Looked]:
    kafka = settings.kafka
    topics = topics_of(kafka)
    with_notices = _queues(settings) if "route" in settings.enrich.steps else []
    needs = kafka_rights.needs(kafka_rights.ROLES, topics, kafka, with_notices)
    found = described(admin, needs.topics)
    missing = kafka_rights.lacking(admin, needs, kafka.username)
    problems, made = _faults(admin, found, kafka)
    if kafka.replication > count:
        few = "is 1 broker" if count == 1 else f"are {count} brokers"
        problems.append(f"kafka.replication is {kafka.replication}, but there {few}: set it to {count}")
    there = sum(topic["error_code"] == _NONE for topic in found.values())
    detail = f"{there} there" + (f", {made} to be made at the first start" if made else "")
    return [
        Looked("topics", f"{kafka.prefix}.*", detail, tuple(problems)),
        Looked("rights", "kafka", "" if missing else "all that the roles need", tuple(missing)),
    ]


def _faults(
    admin: KafkaAdminClient, found: Mapping[str, Mapping[str, Any]], kafka: KafkaSettings
) -> tuple[list[str], int]:
    """What is wrong with the topics, and how many are still to be made."""
    problems, made = [], 0
    may_make = "CREATE" in (admin.describe_cluster().get("authorized_operations") or ())
    for name, topic in found.items():
        parts = topic["partitions"]
        if topic["error_code"] == _MISSING:
            if may_make or "CREATE" in (topic["authorized_operations"] or ("CREATE",)):
                made += 1
            else:
                problems.append(f"{denial(kafka.username, 'missing topic', name, ['CREATE'])}, or make it")
        elif parts and len(parts) != kafka.partitions:
            problems.append(
                f"topic {name} has {len(parts)} partitions, but kafka.partitions is {kafka.partitions}: set"
                f" it to {len(parts)}"
            )
        if headless := [part["partition_index"] for part in parts if part["leader_id"] < 0]:
            problems.append(
                f"topic {name} has no leader for partition {', '.join(map(str, headless))}: bring its"
                " brokers back"
            )
    return problems, made


def _queues(settings: Settings) -> Iterable[str]:
    with suppress(ConfigError):  # told of the rules themselves
        if path := rules_file(settings):
            return list(read_router(path).queues)
    return []


def _elasticsearch(settings: Settings, home: Path, clock: Callable[[], datetime]) -> list[Looked]:
    url = elasticsearch_url(settings, home)
    try:
        with closing(client_for(settings.elasticsearch, url)) as client:
            quick = client.options(request_timeout=min(SECONDS, settings.elasticsearch.timeout_seconds))
            return [
                _server(quick, settings, url, clock),
                _privileges(quick, settings),
                _templates(quick, settings),
            ]
    except GroundswellError as error:
        problem = str(error)
        if url.startswith("http:") and _is_https(url):
            problem = f"Elasticsearch at {url} speaks https: set elasticsearch.url to https{url[4:]}"
        return [Looked("elasticsearch", url, "", (problem,))]


def _server(client: Elasticsearch, settings: Settings, url: str, clock: Callable[[], datetime]) -> Looked:
    prefix = settings.elasticsearch.prefix
    with answering(client, "the cluster's state"):
        began = clock()
        health = client.cluster.health(index=f"{prefix}-*", expand_wildcards="all")
        nodes = client.nodes.info(filter_path="nodes.*.version")["nodes"].values()
    versions = sorted({str(node["version"]) for node in nodes})
    status = health["status"]
    problems = [unsupported(version) for version in versions]
    if status == "red":
        problems.append(
            f"Elasticsearch at {url} has lost shards of {prefix}-* (red): bring its nodes back, or run"
            " `groundswell rebuild`"
        )
    problems.append(skewed(health.meta.headers.get("date"), began))
    detail = f"{', '.join(versions)}, {status}" + (" (copies have no node)" if status == "yellow" else "")
    return Looked("elasticsearch", url, detail, tuple(problem for problem in problems if problem))


def unsupported(version: str) -> str:
    """The sentence for a version that this client does not speak with; empty for one that it does."""
    if int(version.partition(".")[0]) in MAJORS:
        return ""
    return f"Elasticsearch {version} is not supported: run {' or '.join(f'{major}.x' for major in MAJORS)}"


def skewed(date: str | None, now: datetime) -> str:
    """The sentence for a server whose clock, told as HTTP does, is another than ours; empty otherwise."""
    with suppress(ValueError, TypeError):
        apart = abs((parsedate_to_datetime(date or "") - now).total_seconds())
        if apart > SKEW_SECONDS:
            return (
                f"the clocks of this machine and of Elasticsearch are {apart:.0f} s apart: set both by a time"
                " server (NTP), for ages and due times are reckoned by them"
            )
    return ""


def _privileges(client: Elasticsearch, settings: Settings) -> Looked:
    missing = rights.lacking(client, settings.elasticsearch.prefix)
    detail = "security is off: anybody may do anything" if missing is None else ""
    if missing == []:
        detail = "all that the roles need"
    return Looked("rights", "elasticsearch", detail, tuple(missing or ()))


def _templates(client: Elasticsearch, settings: Settings) -> Looked:
    found = rights.templates(client, settings.elasticsearch)
    other = [f"{name} is {state}" for name, state in found.items() if state != "ours"]
    detail = f"{'; '.join(other)}: put there at the next start" if other else f"{len(found)} there"
    return Looked("templates", f"{settings.elasticsearch.prefix}-*", detail)


def _is_https(url: str) -> bool:
    parts = urlsplit(url)
    return speaks_tls(parts.hostname or "", parts.port or 80)
