"""What the settings of access to Kafka may be together, and that they show nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.configuration import read_settings
from pipeline.core.errors import ConfigError
from pipeline.core.settings import KafkaSettings

SIGNED_IN = {"GROUNDSWELL_KAFKA_USERNAME": "ops", "GROUNDSWELL_KAFKA_PASSWORD": "hunter2"}


def kafka(text: str, environ: dict[str, str] | None = None) -> KafkaSettings:
    """The section as a file holds it."""
    file = Path("groundswell.toml")
    file.write_text(f"[kafka]\n{text}", encoding="utf-8")
    return read_settings(file, environ or {}).kafka


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "environ", "reason"),
    [
        ('security_protocol = "SASL_SSL"', {}, "SASL_SSL signs in by name: set username"),
        (
            'security_protocol = "SASL_SSL"\nusername = "ops"',
            {},
            "SASL_SSL signs in by name: set password_file",
        ),
        ("", SIGNED_IN, "PLAINTEXT signs nobody in: set SASL_SSL, or SASL_PLAINTEXT without TLS"),
        ('security_protocol = "SSL"', SIGNED_IN, "SSL signs nobody in: set SASL_SSL"),
        ('ca_file = "ca.pem"', {}, "ca_file is set, but security_protocol PLAINTEXT is without TLS: set SSL"),
        (
            'ca_file = "ca.pem"\nsecurity_protocol = "SASL_PLAINTEXT"',
            SIGNED_IN,
            "ca_file is set, but security_protocol SASL_PLAINTEXT is without TLS: set SASL_SSL",
        ),
        (
            'security_protocol = "SSL"\nkey_file = "key.pem"',
            {},
            "key_file is set and certificate_file is not: set both or neither",
        ),
        (
            'security_protocol = "SSL"\ncertificate_file = "c.pem"',
            {},
            "certificate_file is set and key_file is not: set both or neither",
        ),
        ('password = "hunter2"', {}, "kafka.password: a secret in clear: name a file with it"),
        (
            'security_protocol = "tls"',
            {},
            'expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, got "tls"',
        ),
        ('sasl_mechanism = "GSSAPI"', {}, "kafka.sasl_mechanism: expected one of"),
    ],
)
def test_what_does_not_go_together_is_told(text: str, environ: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kafka(text, environ)
    assert reason in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_password_is_shown_to_nobody() -> None:
    Path("password").write_text("hunter2\n", encoding="utf-8")
    settings = kafka('security_protocol = "SASL_SSL"\nusername = "ops"\npassword_file = "password"')
    assert settings.password.reveal() == "hunter2"
    assert "hunter2" not in f"{settings!r} {settings}"
    assert "password=***" in repr(settings)
    assert (settings.tls, settings.sasl) == (True, True)
