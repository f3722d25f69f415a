"""An authority of a test's own, and certificates from it: good ones, and each kind of bad one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testkit.platform.certificate import Certificate, openssl

HERE = "IP:127.0.0.1,DNS:localhost"
_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    """``file`` is what clients must trust (PEM). Needs the program openssl."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.file = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl(
            *["req", "-x509", *_CURVE, "-days", "2", "-subj", f"/CN={name}"],
            *["-keyout", str(self._key), "-out", str(self.file)],
        )

    def issue(self, name: str, *, names: str = HERE, days: int = 2) -> Certificate:
        """A certificate for ``names`` (of the form IP:…,DNS:…); with negative ``days`` it has expired."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        _openssl(
            *["req", *_CURVE, "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"],
            *["-keyout", str(made.key), "-out", str(request)],
        )
        _openssl(
            *["x509", "-req", "-in", str(request), "-CA", str(self.file), "-CAkey", str(self._key)],
            *["-CAcreateserial", "-copy_extensions", "copyall", "-days", str(days), "-out", str(made.file)],
        )
        return made


def _openssl(*arguments: str) -> None:
    program = openssl()
    assert program, "openssl is not installed"
    subprocess.run([program, *arguments], check=True, capture_output=True)
