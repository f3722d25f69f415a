"""A certificate for loopback that nobody trusts but the test that made it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

from msgspec import Struct


class Certificate(Struct, frozen=True):
    """``file`` is what a client must trust (PEM): by its own setting, or by SSL_CERT_FILE."""

    file: Path
    key: Path

    def for_server(self) -> ssl.SSLContext:
        """TLS as the server speaks it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def openssl() -> str | None:
    """The program that makes it, where there is one."""
    return shutil.which("openssl")


def make_certificate(folder: Path) -> Certificate:
    """A certificate for 127.0.0.1 and localhost, valid for a day. Needs the program openssl."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    program = openssl()
    assert program, "openssl is not installed"
    call = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    call += ["-days", "1", "-subj", "/CN=localhost", "-addext", names]
    call += ["-keyout", str(made.key), "-out", str(made.file)]
    subprocess.run(call, check=True, capture_output=True)
    return made
