"""A home that the servers' user can reach, a Maven repository on this machine, proof that nothing is left."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.embedded.artifacts import MIRROR, Artifact, Bundle
from pipeline.embedded.process import MARK


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home below the system's temporary folder: pytest's own is barred to the servers' user. Its name has a
    blank and a letter that is not ASCII, as people's directories have."""
    above = Path(tempfile.mkdtemp(prefix="groundswell-embedded-"))
    above.chmod(0o711)
    yield above / "Größe 1"
    left = processes(above)
    for process in left:
        process.kill()
    shutil.rmtree(above)
    assert not left


def processes(home: Path) -> list[psutil.Process]:
    """All processes of servers whose home is ``home`` or below it."""
    found = []
    for process in psutil.process_iter():
        try:
            if f"@{home}" in process.environ().get(MARK, ""):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


class Repository:
    """A Maven repository on the loopback interface, with faults on demand; counts what it serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served: Counter[str] = Counter()
        self.truncate: Counter[str] = Counter()
        """File name to the number of times that it is yet to be cut off half way."""
        self.pause = 0.0
        """Seconds between two kilobytes."""

    def add(self, name: str, content: bytes, packaging: str = "jar") -> Artifact:
        """Put a file at ``org.example:NAME:1.0`` and return the lock's entry for it."""
        artifact = Artifact(
            "org.example", name, "1.0", packaging, hashlib.sha256(content).hexdigest(), len(content)
        )
        path = self.folder / "org" / "example" / name / "1.0" / artifact.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return artifact

    def bundle(self, *artifacts: Artifact) -> Bundle:
        return Bundle("Example", "1.0", artifacts)


class _Handler(SimpleHTTPRequestHandler):
    repository: Repository

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.exists():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.repository.served[path.name] += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.repository.truncate[path.name] > 0:
            self.repository.truncate[path.name] -= 1
            content = content[: len(content) // 2]
            self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start in range(0, len(content), 1000 if self.repository.pause else len(content)):
                self.wfile.write(content[start : start + 1000] if self.repository.pause else content)
                time.sleep(self.repository.pause)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """The repository, in the place of the public one, with an empty cache in ``tmp_path / "cache"``."""
    repository = Repository(tmp_path / "repository")
    repository.folder.mkdir()
    handler = type("Handler", (_Handler,), {"repository": repository})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(repository.folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv(MIRROR, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GROUNDSWELL_CACHE", str(tmp_path / "cache"))
    yield repository
    server.shutdown()
    thread.join()
    server.server_close()
