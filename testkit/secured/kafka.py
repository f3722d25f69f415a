"""A true Kafka that lets nobody in without a certificate's authority, a password and a right.

One broker with a listener of each kind: SASL_SSL, SASL_PLAINTEXT, SSL (which asks for a certificate of the
client) and PLAINTEXT, where whoever comes may do anything: that one is for the broker itself and for tests.
LOST is as PLAINTEXT, but sends its clients to where nobody is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from msgspec import Struct

from pipeline.app.kafka_rights import needs
from pipeline.app.topics import topics_of
from pipeline.core.settings import KafkaSettings, Secret
from pipeline.embedded import kafka
from pipeline.embedded.account import create
from pipeline.embedded.artifacts import read_lock
from pipeline.embedded.distributions import jars
from pipeline.embedded.java import Search, choose
from pipeline.embedded.ports import LOOPBACK, chooser
from testkit.platform.certificate import Certificate
from testkit.secured.authority import Authority
from testkit.secured.starting import Started, folders
from testkit.waiting import until

LISTENERS = ("SASL_SSL", "SASL_PLAINTEXT", "SSL", "PLAINTEXT", "LOST")
_MECHANISMS = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}
_ITERATIONS = 4096

Right = tuple[str, str, str]
"""Kind of resource (topic, group, cluster), beginning of its name, operation."""


def rights_of(role: str, prefix: str, queues: Iterable[str] = ()) -> list[Right]:
    """The least rights of a role, each on one topic or group."""
    kafka = KafkaSettings(prefix=prefix)
    wanted = needs([role], topics_of(kafka), kafka, queues)
    topics = [("topic", name, operation) for name, held in wanted.topics.items() for operation in held]
    return topics + [("group", name, operation) for name, held in wanted.groups.items() for operation in held]


class SecuredKafka(Struct, frozen=True):
    """``addresses`` are by the security protocol of the listener."""

    addresses: Mapping[str, str]
    authority: Path

    def settings(self, prefix: str, username: str, password: str, **others: Any) -> KafkaSettings:
        """Settings of a client of the listener with TLS and sign-in."""
        given: dict[str, Any] = {
            "bootstrap": self.addresses["SASL_SSL"],
            "security_protocol": "SASL_SSL",
            "ca_file": self.authority,
            "username": username,
            "password": Secret(password),
        }
        return KafkaSettings(prefix=prefix, **{**given, **others})

    def admin(self) -> AdminClient:
        """A client that may do anything."""
        return AdminClient({"bootstrap.servers": self.addresses["PLAINTEXT"], "log_level": 0})

    def user(self, name: str, password: str, mechanisms: Iterable[str] = _MECHANISMS) -> None:
        """Makes a user of SCRAM, without a right."""
        admin = self.admin()  # it must live until the answer
        for mechanism in mechanisms:  # one a request, says the broker
            info = ScramCredentialInfo(_MECHANISMS[mechanism], _ITERATIONS)
            wanted = UserScramCredentialUpsertion(name, info, password.encode())
            for done in admin.alter_user_scram_credentials([wanted]).values():
                done.result(20)

    def allow(self, name: str, rights: Iterable[Right]) -> None:
        """Gives a user rights; they hold when this returns."""
        wanted = [_binding(name, right) for right in rights]
        admin = self.admin()
        for done in admin.create_acls(wanted).values():
            done.result(20)
        until(lambda: set(wanted) <= _held(admin, name), why="the rights are given")

    def forbid(self, name: str, right: Right) -> None:
        """Takes one right from a user that it was given; it is gone when this returns."""
        admin, one = self.admin(), _binding(name, right)
        for done in admin.delete_acls([_filter(name, one)]).values():
            assert done.result(20), f"{name} had no {right}"
        until(lambda: one not in _held(admin, name), why="the right is taken")


_ALLOW = AclPermissionType.ALLOW


def _binding(name: str, right: Right) -> AclBinding:
    kind, beginning, operation = right
    literal = kind == "cluster"
    return AclBinding(
        ResourceType.BROKER if literal else ResourceType[kind.upper()],
        "kafka-cluster" if literal else beginning,
        ResourcePatternType.LITERAL if literal else ResourcePatternType.PREFIXED,
        f"User:{name}",
        "*",
        AclOperation[operation],
        _ALLOW,
    )


def _filter(name: str, one: AclBinding | None = None) -> AclBindingFilter:
    """All rights of a user, or a certain one."""
    if one is None:
        nothing: Any = None  # declared as text, and means any
        return AclBindingFilter(
            *(ResourceType.ANY, nothing, ResourcePatternType.ANY, f"User:{name}", nothing),
            *(AclOperation.ANY, AclPermissionType.ANY),
        )
    what = one.restype, one.name, one.resource_pattern_type
    return AclBindingFilter(*what, one.principal, "*", one.operation, _ALLOW)


def _held(admin: AdminClient, name: str) -> set[AclBinding]:
    return set(admin.describe_acls(_filter(name)).result(20))


@contextmanager
def secured_kafka(home: Path, authority: Authority, certificate: Certificate) -> Iterator[SecuredKafka]:
    """The server for the time of the block."""
    layout, account = folders(home, kafka.NAME)
    programs = tuple(jars(read_lock()[kafka.NAME], layout, account))
    server = kafka.Kafka(programs, choose(search=Search(account)), layout, account, 384)
    with chooser(home / "ports") as choice:
        ports = {name: choice.free() for name in LISTENERS}
        launch = server.prepare(ports["PLAINTEXT"], controller := choice.free())
        with create(layout.conf(kafka.NAME) / "server.pem", account) as file:
            file.write(certificate.key.read_bytes() + certificate.file.read_bytes())
        with create(layout.conf(kafka.NAME) / "authority.pem", account) as file:
            file.write(authority.file.read_bytes())
        properties = layout.conf(kafka.NAME) / "server.properties"
        with properties.open("a", encoding="utf-8") as more:
            more.write(_security(layout.conf(kafka.NAME), ports, controller))
        started = Started(layout, kafka.NAME, launch)
    try:
        started.wait(lambda: kafka.ready(ports["PLAINTEXT"]))
        addresses = {name: f"{LOOPBACK}:{port}" for name, port in ports.items()}
        yield SecuredKafka(addresses, authority.file)
    finally:
        started.end()


def _security(conf: Path, ports: Mapping[str, int], controller: int) -> str:
    """What stands last in a properties file wins."""
    listeners = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items())
    advertised = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in {**ports, "LOST": 1}.items())
    protocols = ",".join(f"{name}:{'PLAINTEXT' if name == 'LOST' else name}" for name in ports)
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    lines = [
        f"listeners={listeners},CONTROLLER://{LOOPBACK}:{controller}",
        f"advertised.listeners={advertised}",
        f"listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name=PLAINTEXT",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={conf / 'server.pem'}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={conf / 'authority.pem'}",
        "listener.name.ssl.ssl.client.auth=required",
    ]
    for listener in ("sasl_ssl", "sasl_plaintext"):
        lines.append(f"listener.name.{listener}.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512")
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            lines.append(f"listener.name.{listener}.{mechanism}.sasl.jaas.config={scram}")
    return "\n".join(lines) + "\n"
