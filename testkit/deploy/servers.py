"""The servers of docker-compose.yml: their versions, listeners and files, held against the code and against
each other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from pipeline.embedded import kafka as embedded_kafka

Services = Mapping[str, Any]

OURS = "groundswell"
ELASTICSEARCH = "https://elasticsearch:9200"
CONFIG = "/usr/share/elasticsearch/config/"
"""Where relative paths of Elasticsearch's settings start, in its image."""


PROTOCOL, MECHANISM = "SASL_PLAINTEXT", "PLAIN"
"""How whoever comes to Kafka signs in. Not encrypted: nothing of it leaves the machine."""

RELIED = (
    "auto.create.topics.enable",
    "message.max.bytes",
    "replica.fetch.max.bytes",
    "offsets.retention.minutes",
    "group.initial.rebalance.delay.ms",
    "process.roles",
)
"""Settings of Kafka that Groundswell counts on."""


def is_ours(service: Mapping[str, Any]) -> bool:
    """Whether the service runs Groundswell's image."""
    return str(service["image"]).split(":")[0] == OURS


def server_problems(services: Services, root: Path, made: Mapping[str, set[str]]) -> list[str]:
    """All that is wrong, as sentences. ``made`` is volume to the files that a script makes."""
    return [
        *_images(services, root),
        *_kafka(services["kafka"]),
        *_kafka_settings(services["kafka"]["environment"]),
        *_addresses(services),
        *_elasticsearch(services["elasticsearch"], made["certificates"]),
    ]


def _images(services: Services, root: Path) -> list[str]:
    """The servers are of the lines that the code is tested with; ours is of this version."""
    locked = msgspec.json.decode((files("pipeline.embedded") / "artifacts.lock.json").read_bytes())
    versions = {str(locked["kafka"]["version"])}
    lines = {"apache/kafka": {_line(v) for v in versions}}
    newest = max(
        (str(one["version"]) for name, one in locked.items() if name.startswith("elasticsearch")),
        key=lambda version: [int(part) for part in version.split(".")],
    )
    lines["elasticsearch"] = {_line(newest)}
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = []
    for name, service in services.items():
        image, _, version = service["image"].partition(":")
        if image == OURS:
            if version != project["version"]:
                found.append(f"{name}: image {service['image']}, and the version is {project['version']}")
        elif _line(version) not in lines.get(image, ()):
            found.append(f"{name}: {service['image']} is not of the line {lines.get(image)}")
    return found


def _line(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _kafka(service: Mapping[str, Any]) -> list[str]:
    """Every listener has a port, an address and a protocol, and whoever asks it asks there."""
    kafka = service["environment"]
    told, bound = _told(kafka), dict(re.findall(r"(\w+)://[^,]*:(\d+)", kafka["KAFKA_LISTENERS"]))
    secured = dict(re.findall(r"(\w+):(\w+)", kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]))
    controller = kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]
    found = []
    if bound.keys() != secured.keys() or bound.keys() - told.keys() != {controller}:
        found.append("kafka: its listeners have not all a port, an address and a protocol")
    if kafka["KAFKA_INTER_BROKER_LISTENER_NAME"] not in told:
        found.append("kafka: the listener between brokers has no address")
    for name, address in told.items():
        if address.rpartition(":")[2] != bound.get(name):
            found.append(f"kafka: {name} is told at {address} and bound to {bound.get(name)}")
    if kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"].rpartition(":")[2] != bound.get(controller):
        found.append("kafka: the controller is sought at another port than it is bound to")
    asked = re.findall(r"localhost:(\d+)", " ".join(service.get("healthcheck", {}).get("test", ())))
    if not asked or not set(asked) <= set(bound.values()):
        found.append("kafka: its health is asked at a port to which nothing is bound")
    published = {port.rpartition(":")[0] for port in service.get("ports", ())}
    if told.get("HOST") not in published:
        found.append("kafka: programs on this machine are sent to a port that is not published")
    if kafka["KAFKA_LOG_DIRS"] not in {volume.split(":")[1] for volume in service["volumes"]}:
        found.append("kafka: keeps its data in no volume")
    return found + _kafka_entrance(service)


def _kafka_entrance(service: Mapping[str, Any]) -> list[str]:
    """Whoever can reach a listener is asked for a password, and who may come in stands in a secret."""
    kafka = service["environment"]
    secured = dict(re.findall(r"(\w+):(\w+)", kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]))
    found = []
    for name, host in re.findall(r"(\w+)://([^,:]*)", kafka["KAFKA_LISTENERS"]):
        if host != "localhost" and secured.get(name) != PROTOCOL:
            found.append(f"kafka: {name} lets everybody in")
    if kafka.get("KAFKA_SASL_ENABLED_MECHANISMS") != MECHANISM:
        found.append(f"kafka: the mechanism is not {MECHANISM}")
    users = re.search(r"login\.config=/run/secrets/(\w+)", kafka.get("KAFKA_OPTS", ""))
    if users is None or users[1] not in service.get("secrets", ()):
        found.append("kafka: who may come in stands in no secret of its own")
    return found


def _told(kafka: Mapping[str, str]) -> dict[str, str]:
    """Listener to the address that clients are told."""
    return dict(re.findall(r"(\w+)://([^,]+)", kafka["KAFKA_ADVERTISED_LISTENERS"]))


def properties_of(environ: Mapping[str, str]) -> dict[str, str]:
    """What the image makes of the variables: KAFKA_LOG_DIRS is `log.dirs`."""
    no_properties = ("KAFKA_HEAP_OPTS", "KAFKA_OPTS")  # for Java, not for Kafka
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in environ.items()
        if name.startswith("KAFKA_") and name not in no_properties
    }


def _kafka_settings(environ: Mapping[str, str]) -> list[str]:
    """What Groundswell relies on is as it is in the embedded server."""
    ours = dict(line.split("=", 1) for line in embedded_kafka.SETTINGS.splitlines() if "=" in line)
    given = properties_of(environ)
    return [
        f"kafka: {name} is {given.get(name)}, and the code relies on {ours[name]}"
        for name in RELIED
        if given.get(name) != ours[name]
    ]


def _addresses(services: Services) -> list[str]:
    """Ours are given the addresses at which the servers listen for them."""
    inner = _told(services["kafka"]["environment"]).get("INNER", "")
    found = [] if inner.startswith("kafka:") else ["kafka: told by a name that is not its service's"]
    for name, service in services.items():
        environ = service.get("environment", {})
        if is_ours(service) and environ.get("GROUNDSWELL_KAFKA_BOOTSTRAP") != inner:
            found.append(f"{name}: kafka listens at {inner}")
        signs_in = (
            environ.get("GROUNDSWELL_KAFKA_SECURITY_PROTOCOL"),
            environ.get("GROUNDSWELL_KAFKA_SASL_MECHANISM"),
        )
        if is_ours(service) and signs_in != (PROTOCOL, MECHANISM):
            found.append(f"{name}: kafka wants {PROTOCOL} by {MECHANISM}")
        if environ.get("GROUNDSWELL_ELASTICSEARCH_URL", ELASTICSEARCH) != ELASTICSEARCH:
            found.append(f"{name}: elasticsearch listens at {ELASTICSEARCH}")
    return found


def _elasticsearch(service: Mapping[str, Any], made: set[str]) -> list[str]:
    """Security is on, and every file that it is told of is one that the script of certificates makes."""
    environ = service["environment"]
    switches = ("xpack.security.enabled", "xpack.security.http.ssl.enabled")
    found = [f"elasticsearch: security is off: {one}" for one in switches if environ.get(one) != "true"]
    targets = [volume.split(":")[1] for volume in service["volumes"] if volume.startswith("certificates:")]
    words = [v for k, v in environ.items() if ".ssl." in k and "." in v] + [environ["ELASTIC_PASSWORD_FILE"]]
    words += re.findall(r"config/[\w./]+", " ".join(service.get("healthcheck", {}).get("test", ())))
    for word in words:
        path = CONFIG + word.removeprefix(CONFIG).removeprefix("config/")
        folder, _, name = path.rpartition("/")
        if folder not in targets or name not in made:
            found.append(f"elasticsearch: {word} is a file that nobody makes")
    return found
