"""Why Kafka lets us in or not, found out step by step: connection, TLS, sign-in.

Every client library says the same of a wrong password, a wrong certificate and a broker that is off: it
could not bootstrap. So the few requests up to the sign-in are made here by hand, and whichever of them
fails names the cause. Nothing is sent after the sign-in.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import struct
from contextlib import suppress

from msgspec import Struct

from pipeline.app.brokers import Brokers, tls_context
from pipeline.app.kafka_wire import (
    ANSWER_SECONDS,
    ILLEGAL_SASL_STATE,
    UNSUPPORTED_MECHANISM,
    Closed,
    exchange,
    greet,
    offered,
)
from pipeline.app.scram import Scram, ServerDidNotProve
from pipeline.core.settings import KafkaSettings

TIMEOUT = ANSWER_SECONDS
"""Seconds for each step."""

# OpenSSL's numbers of why a certificate is not trusted.
_NOT_YET, _EXPIRED, _HOST, _ADDRESS = 9, 10, 62, 64


class Barred(Exception):
    """A step failed; the message is the sentence for whoever has to act."""


class _Door(Struct, frozen=True):
    """One broker, and how it is to be entered."""

    address: str
    settings: KafkaSettings
    context: ssl.SSLContext | None

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def dial(self) -> socket.socket:
        """A connection to it. Raises OSError."""
        return socket.create_connection((self.host, self.port), TIMEOUT)


def barrier(brokers: Brokers) -> str:
    """Why the first broker that answers does not let us in; empty where one does, and where none even
    answers: that is no question of security. Raises ConfigError where a certificate cannot be read."""
    settings = brokers.settings
    context = tls_context(settings) if settings.tls else None
    reasons = []
    for address in brokers.address.split(","):
        try:
            _enter(_Door(address, settings, context))
        except Barred as error:
            reasons.append(str(error))
        except OSError:
            continue  # is away
        else:
            return ""
    return reasons[0] if reasons else ""


def is_away(brokers: Brokers) -> bool:
    """Whether nobody listens at any of the addresses."""
    for address in brokers.address.split(","):
        with suppress(OSError):
            _Door(address, brokers.settings, None).dial().close()
            return False
    return True


def _enter(door: _Door) -> None:
    """All steps with one broker. Raises Barred, and OSError where nobody answers."""
    with door.dial() as plain:
        if door.context is None:
            _greet_plainly(plain, door)
            _sign_in(plain, door)
            return
        with _encrypted(plain, door, door.context) as encrypted:
            try:
                greet(encrypted)
            except ssl.SSLError as error:  # with TLS 1.3 the server judges our certificate only now
                raise Barred(_certificate_refused(door, error)) from error
            except TimeoutError as error:
                raise Barred(_slow(door)) from error
            except (OSError, Closed) as error:
                raise Barred(f"Kafka at {door.address} ends the connection after TLS: see its log") from error
            _sign_in(encrypted, door)


def _greet_plainly(plain: socket.socket, door: _Door) -> None:
    address = door.address
    try:
        greet(plain)
    except (OSError, Closed) as error:
        if speaks_tls(door.host, door.port):
            meant = "SASL_SSL" if door.settings.sasl else "SSL"
            raise Barred(
                f"Kafka at {address} speaks TLS: set kafka.security_protocol to {meant}, or name the port"
                " without TLS in kafka.bootstrap"
            ) from error
        if isinstance(error, TimeoutError):
            raise Barred(_slow(door)) from error
        raise Barred(f"what answers at {address} is no Kafka: correct kafka.bootstrap") from error


def _encrypted(plain: socket.socket, door: _Door, context: ssl.SSLContext) -> ssl.SSLSocket:
    address = door.address
    try:
        return context.wrap_socket(plain, server_hostname=door.host)
    except ssl.SSLCertVerificationError as error:
        raise Barred(_untrusted(door, error)) from error
    except OSError as error:
        if _speaks_kafka_plainly(door):
            meant = "SASL_PLAINTEXT" if door.settings.sasl else "PLAINTEXT"
            raise Barred(
                f"Kafka at {address} speaks no TLS on this port: name the port with TLS in kafka.bootstrap,"
                f" or set kafka.security_protocol to {meant}"
            ) from error
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            raise Barred(_certificate_refused(door, error)) from error
        raise Barred(f"no TLS with {address} ({error}): correct kafka.bootstrap") from error


def _untrusted(door: _Door, error: ssl.SSLCertVerificationError) -> str:
    address, settings = door.address, door.settings
    if error.verify_code in (_EXPIRED, _NOT_YET):
        state = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        return f"the certificate of Kafka at {address} {state}: renew it, or correct this machine's clock"
    if error.verify_code in (_HOST, _ADDRESS):
        return (
            f"the certificate of Kafka at {address} is for another name ({error.verify_message}): write in"
            " kafka.bootstrap a name that stands in the certificate"
        )
    trusted = f"kafka.ca_file {settings.ca_file}" if settings.ca_file else "the system's own authorities"
    return (
        f"the certificate of Kafka at {address} does not come from {trusted} ({error.verify_message}): name"
        " the authority that it comes from in kafka.ca_file"
    )


def _certificate_refused(door: _Door, error: ssl.SSLError) -> str:
    address, settings = door.address, door.settings
    said = (error.reason or "").replace("_", " ").lower()
    if settings.certificate_file is None:
        return (
            f"Kafka at {address} asks for a certificate of ours ({said}): set kafka.certificate_file and"
            " kafka.key_file, or name a port that asks for a password"
        )
    return (
        f"Kafka at {address} does not take kafka.certificate_file {settings.certificate_file} ({said}): it"
        " must come from an authority that the broker trusts"
    )


def _slow(door: _Door) -> str:
    return (
        f"Kafka at {door.address} takes the connection and then does not answer within {TIMEOUT:.0f} s: see"
        " its log, or correct kafka.bootstrap"
    )


def _sign_in(connection: socket.socket, door: _Door) -> None:
    """Asks for the mechanism, and signs in where that is wanted. Raises Barred."""
    address, settings = door.address, door.settings
    code, names = offered(connection, settings.sasl_mechanism)
    if reason := _no_way(door, code, names):
        raise Barred(reason)
    if not settings.sasl:
        return
    refused = (
        f"Kafka at {address} refuses the sign-in of `{settings.username}` by {settings.sasl_mechanism}:"
        " correct kafka.username, or the password (GROUNDSWELL_KAFKA_PASSWORD or kafka.password_file)"
    )
    try:
        _authenticate(connection, settings)
    except ServerDidNotProve:
        raise Barred(f"Kafka at {address} does not know the password itself: who is it really?") from None
    except TimeoutError:
        raise Barred(_slow(door)) from None
    except (OSError, Closed, ValueError, KeyError, struct.error):
        raise Barred(refused) from None


def _no_way(door: _Door, code: int, names: list[str]) -> str:
    """What the answer to asking for a mechanism says against us; empty where it is as we want it."""
    address, settings = door.address, door.settings
    if not settings.sasl:
        meant = "SASL_SSL" if settings.tls else "SASL_PLAINTEXT"
        return (
            f"Kafka at {address} asks for a sign-in: set kafka.security_protocol to {meant},"
            " kafka.username and its password"
            if code != ILLEGAL_SASL_STATE
            else ""
        )
    if code == ILLEGAL_SASL_STATE:
        meant = "SSL" if settings.tls else "PLAINTEXT"
        return (
            f"Kafka at {address} has no sign-in on this port: name the port with one in kafka.bootstrap, or"
            f" set kafka.security_protocol to {meant}"
        )
    if code == UNSUPPORTED_MECHANISM:
        taken = " or ".join(sorted(names)) or "none that it names"
        return (
            f"Kafka at {address} does not take {settings.sasl_mechanism}, but {taken}: set"
            " kafka.sasl_mechanism"
        )
    return f"Kafka at {address} refuses to talk of a sign-in (error {code}): see its log" if code else ""


def _authenticate(connection: socket.socket, settings: KafkaSettings) -> None:
    """Raises Closed where the password is refused, ServerDidNotProve."""
    name, password = settings.username, settings.password.reveal()
    if settings.sasl_mechanism == "PLAIN":
        exchange(connection, f"\0{name}\0{password}".encode())
        return
    scram = Scram(settings.sasl_mechanism, name, password, secrets.token_urlsafe(24))
    first = exchange(connection, scram.first())
    scram.verify(exchange(connection, scram.final(first)))


def speaks_tls(host: str, port: int) -> bool:
    """Whether a handshake comes to an end, whoever may be there: nothing is told to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection((host, port), TIMEOUT) as plain,
        context.wrap_socket(plain),
    ):
        return True
    return False


def _speaks_kafka_plainly(door: _Door) -> bool:
    with suppress(OSError, Closed), door.dial() as plain:
        greet(plain)
        return True
    return False
