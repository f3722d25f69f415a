"""Each thing that can keep us from Kafka has a sentence of its own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.brokers import Brokers
from pipeline.app.kafka_entrance import barrier
from pipeline.app.topics import admin_client
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.settings import KafkaSettings
from testkit.platform.certificate import Certificate
from testkit.secured.authority import Authority
from testkit.secured.kafka import SecuredKafka

Make = Callable[..., Brokers]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_the_right_password_is_let_in(
    brokers: Make, safe_kafka: SecuredKafka, protocol: str, mechanism: str
) -> None:
    changed: dict[str, Any] = {"security_protocol": protocol, "sasl_mechanism": mechanism}
    if protocol == "SASL_PLAINTEXT":
        changed["ca_file"] = None
    assert barrier(brokers(bootstrap=safe_kafka.addresses[protocol], **changed)) == ""


def test_a_wrong_password_is_named_and_not_shown(brokers: Make, user: str) -> None:
    wrong = brokers(password="hunter2-wrong")
    expected = (
        f"Kafka at {wrong} refuses the sign-in of `{user}` by SCRAM-SHA-512: correct kafka.username, or the"
        " password (GROUNDSWELL_KAFKA_PASSWORD or kafka.password_file)"
    )
    assert barrier(wrong) == expected
    with pytest.raises(RetryableError) as caught:
        admin_client(wrong)
    assert str(caught.value) == expected
    assert "hunter2" not in repr(wrong) + repr(wrong.settings) + f"{wrong}"


def test_a_mechanism_that_is_not_offered_is_named(brokers: Make) -> None:
    assert barrier(brokers(sasl_mechanism="PLAIN")).endswith(
        " does not take PLAIN, but SCRAM-SHA-256 or SCRAM-SHA-512: set kafka.sasl_mechanism"
    )


def test_a_certificate_of_another_authority_is_named(brokers: Make, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other").file
    reason = barrier(brokers(ca_file=other))
    assert f"does not come from kafka.ca_file {other} (" in reason
    assert reason.endswith("): name the authority that it comes from in kafka.ca_file")
    system = barrier(brokers(ca_file=None))
    assert "does not come from the system's own authorities (" in system


def test_the_wrong_port_is_told_from_a_wrong_word(safe_kafka: SecuredKafka, brokers: Make) -> None:
    where = safe_kafka.addresses
    assert barrier(brokers(bootstrap=where["SASL_PLAINTEXT"])) == (
        f"Kafka at {where['SASL_PLAINTEXT']} speaks no TLS on this port: name the port with TLS in"
        " kafka.bootstrap, or set kafka.security_protocol to SASL_PLAINTEXT"
    )
    plain = KafkaSettings()
    assert barrier(Brokers(where["SASL_SSL"], plain)) == (
        f"Kafka at {where['SASL_SSL']} speaks TLS: set kafka.security_protocol to SSL, or name the port"
        " without TLS in kafka.bootstrap"
    )
    assert barrier(Brokers(where["SASL_PLAINTEXT"], plain)) == (
        f"Kafka at {where['SASL_PLAINTEXT']} asks for a sign-in: set kafka.security_protocol to"
        " SASL_PLAINTEXT, kafka.username and its password"
    )
    signing = brokers(bootstrap=where["PLAINTEXT"], security_protocol="SASL_PLAINTEXT", ca_file=None)
    assert barrier(signing) == (
        f"Kafka at {where['PLAINTEXT']} has no sign-in on this port: name the port with one in"
        " kafka.bootstrap, or set kafka.security_protocol to PLAINTEXT"
    )
    assert barrier(Brokers(where["PLAINTEXT"], plain)) == ""


def test_our_own_certificate(safe_kafka: SecuredKafka, authority: Authority, tmp_path: Path) -> None:
    where = safe_kafka.addresses["SSL"]

    def showing(certificate: Certificate | None) -> Brokers:
        own: dict[str, Any] = {}
        if certificate:
            own = {"certificate_file": certificate.file, "key_file": certificate.key}
        return Brokers(where, KafkaSettings(security_protocol="SSL", ca_file=authority.file, **own))

    good = showing(authority.issue("client"))
    assert barrier(good) == ""
    admin_client(good).close()
    assert f"Kafka at {where} asks for a certificate of ours (" in barrier(showing(None))
    foreign = Authority(tmp_path, "foreign").issue("client")
    assert f"Kafka at {where} does not take kafka.certificate_file {foreign.file} (" in barrier(
        showing(foreign)
    )


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ({"days": -1}, "has expired: renew it, or correct this machine's clock"),
        ({"names": "DNS:kafka.example"}, "is for another name ("),
    ],
)
def test_what_is_wrong_with_the_certificate_is_named(
    authority: Authority, certificate: dict[str, Any], reason: str
) -> None:
    with listening(authority.issue("bad", **certificate).for_server()) as address:
        settings = KafkaSettings(security_protocol="SSL", ca_file=authority.file)
        assert reason in barrier(Brokers(address, settings))


def test_what_is_no_kafka_is_named() -> None:
    with listening(None) as address:
        assert barrier(Brokers(address)) == f"what answers at {address} is no Kafka: correct kafka.bootstrap"


def test_one_good_broker_is_enough_and_one_that_is_away_is_no_question_of_security(brokers: Make) -> None:
    good = brokers()
    assert barrier(Brokers(f"127.0.0.1:1,{good.address}", good.settings)) == ""
    assert barrier(Brokers("127.0.0.1:1", good.settings)) == ""


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_certificate_file_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    settings = KafkaSettings(security_protocol="SSL", ca_file=file)
    for use in (barrier, Brokers.for_confluent, Brokers.for_kafka_python, Brokers.for_faust):
        with pytest.raises(ConfigError, match=f"kafka.ca_file {file}"):
            use(Brokers("127.0.0.1:1", settings))
    own = KafkaSettings(security_protocol="SSL", certificate_file=file, key_file=file)
    with pytest.raises(ConfigError, match=f"kafka.certificate_file {file}"):
        Brokers("127.0.0.1:1", own).for_confluent()


@contextmanager
def listening(context: ssl.SSLContext | None) -> Iterator[str]:
    """A server on loopback that talks TLS, or else a line of HTTP, and hangs up."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with suppress(OSError), connection:
                if context is not None:
                    context.wrap_socket(connection, server_side=True).close()
                else:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    host, port = server.getsockname()
    yield f"{host}:{port}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()
