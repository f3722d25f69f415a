"""Where Kafka is and how to be let in: what every client of ours is made from.

Three libraries speak to Kafka here, and each has words of its own for the same settings. A client that is
made past this module would be the one that sends a password in clear.
"""

from __future__ import annotations

import ssl
from typing import Any

from msgspec import Struct

from pipeline.core.errors import ConfigError
from pipeline.core.settings import KafkaSettings


class Brokers(Struct, frozen=True):
    """``address`` is host:port, several separated by commas; how to be let in stands in ``settings``."""

    address: str
    settings: KafkaSettings = KafkaSettings()

    def __str__(self) -> str:
        return self.address

    @property
    def reader_group(self) -> str:
        """The group that readers outside any group name, as the library asks; nothing is committed."""
        return f"{self.settings.prefix}-reader"

    def for_confluent(self) -> dict[str, Any]:
        """Settings of a client of confluent-kafka. Raises ConfigError where a certificate cannot be read."""
        wanted = self.settings
        found: dict[str, Any] = {"bootstrap.servers": self.address}
        if wanted.security_protocol == "PLAINTEXT":
            return found
        found["security.protocol"] = wanted.security_protocol
        if wanted.tls:
            tls_context(wanted)  # says in one sentence which file is at fault
            named = {
                "ssl.ca.location": wanted.ca_file,
                "ssl.certificate.location": wanted.certificate_file,
                "ssl.key.location": wanted.key_file,
            }
            found |= {name: str(file) for name, file in named.items() if file}
        if wanted.sasl:
            found |= {
                "sasl.mechanism": wanted.sasl_mechanism,
                "sasl.username": wanted.username,
                "sasl.password": wanted.password.reveal(),
            }
        return found

    def for_kafka_python(self) -> dict[str, Any]:
        """Arguments of a client of kafka-python. Raises ConfigError where a certificate cannot be read."""
        wanted = self.settings
        found: dict[str, Any] = {
            "bootstrap_servers": self.address.split(","),
            "security_protocol": wanted.security_protocol,
        }
        if wanted.tls:
            found["ssl_context"] = tls_context(wanted)
        if wanted.sasl:
            found |= {
                "sasl_mechanism": wanted.sasl_mechanism,
                "sasl_plain_username": wanted.username,
                "sasl_plain_password": wanted.password.reveal(),
            }
        return found

    def for_faust(self) -> dict[str, Any]:
        """Arguments of a Faust app. Raises ConfigError where a certificate cannot be read."""
        from faust import SASLCredentials, SSLCredentials  # half a second, which no other client needs

        wanted = self.settings
        found: dict[str, Any] = {
            "broker": ";".join(f"kafka://{address}" for address in self.address.split(",")),
        }
        context = tls_context(wanted) if wanted.tls else None
        if wanted.sasl:
            found["broker_credentials"] = SASLCredentials(
                username=wanted.username,
                password=wanted.password.reveal(),
                mechanism=wanted.sasl_mechanism,
                ssl_context=context,
            )
        elif context is not None:
            found["broker_credentials"] = SSLCredentials(context)
        return found


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """TLS as a client speaks it, certificate and host name always checked. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except ssl.SSLError:
        raise ConfigError(f"kafka.ca_file {settings.ca_file} holds no certificate (PEM)") from None
    except OSError as error:
        raise ConfigError(f"kafka.ca_file {settings.ca_file}: {error.strerror}") from None
    if settings.certificate_file is not None:
        try:
            # A password is never asked for at a terminal: a daemon has none.
            context.load_cert_chain(settings.certificate_file, settings.key_file, password=_no_password)
        except ssl.SSLError:
            raise ConfigError(
                f"kafka.certificate_file {settings.certificate_file} and kafka.key_file {settings.key_file}"
                " are no certificate (PEM) and its private key without a password"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"kafka.certificate_file {settings.certificate_file} or kafka.key_file"
                f" {settings.key_file}: {error.strerror}"
            ) from None
    return context


def _no_password() -> str:
    return ""
