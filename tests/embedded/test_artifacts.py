"""Artifacts come whole or not at all, whatever the network, the disk and other processes do."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import msgspec
import pytest

from pipeline.core.errors import FatalError
from pipeline.embedded import artifacts
from pipeline.embedded.artifacts import MIRROR, Artifact, Bundle, fetch, read_lock
from pipeline.embedded.progress import Progress

from .conftest import Repository

PROGRAM = (
    "import sys; from pathlib import Path; from pipeline.embedded.artifacts import fetch, read_lock;"
    "print(len(fetch(read_lock(Path(sys.argv[1]))['example'])))"
)
Usage = namedtuple("Usage", "total used free")


def test_files_are_fetched_once_and_then_found(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = repository.bundle(*(repository.add(f"part{n}", os.urandom(50_000)) for n in range(8)))
    first = fetch(bundle)
    assert [path.name for path in first] == [artifact.filename for artifact in bundle.artifacts]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Downloading Example 1.0: 8 files, 0.4 MB"
    assert said[1].startswith("Downloaded Example 1.0 in ")
    assert fetch(bundle) == first
    assert capsys.readouterr().err == ""
    assert max(repository.served.values()) == 1
    assert sorted(path.name for path in first[0].parents[4].iterdir()) == ["artifacts", "lock"]


def test_a_corrupt_file_in_the_cache_is_fetched_again(repository: Repository) -> None:
    bundle = repository.bundle(repository.add("one", b"good" * 1000), repository.add("two", b"fine" * 1000))
    one, two = fetch(bundle)
    one.write_bytes(b"evil" * 1000)
    two.write_bytes(b"fine")
    fetch(bundle)
    assert one.read_bytes() == b"good" * 1000
    assert two.read_bytes() == b"fine" * 1000


def test_a_download_that_breaks_off_is_tried_again(repository: Repository) -> None:
    bundle = repository.bundle(repository.add("one", os.urandom(300_000)))
    repository.truncate["one-1.0.jar"] = 2
    [file] = fetch(bundle)
    assert artifacts.intact(file, bundle.artifacts[0])
    assert repository.served["one-1.0.jar"] == 3


def test_a_wrong_sum_is_refused_and_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("one", b"good" * 1000)
    repository.add("one", b"evil" * 1000)
    with pytest.raises(
        FatalError, match=r"^one-1\.0\.jar came 3 times with a wrong SHA-256 sum: have somebody"
    ):
        fetch(repository.bundle(artifact))
    assert not list((tmp_path / "cache").rglob("*.jar"))
    assert not (tmp_path / "cache" / "partial").exists()


def test_what_a_killed_download_left_is_swept_away(repository: Repository, tmp_path: Path) -> None:
    left = tmp_path / "cache" / "partial" / "tmp1" / "one-1.0.jar"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    [file] = fetch(repository.bundle(repository.add("one", b"whole")))
    assert file.read_bytes() == b"whole"
    assert not left.exists()


def test_a_file_that_the_repository_lacks_is_named(repository: Repository) -> None:
    artifact = msgspec.structs.replace(repository.add("one", b"x"), version="9.9")
    with pytest.raises(FatalError, match=r"does not have one-9\.9\.jar"):
        fetch(repository.bundle(artifact))


def test_no_network_is_one_sentence_that_says_what_to_do(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = repository.bundle(repository.add("one", b"x"))
    monkeypatch.setenv(MIRROR, "http://127.0.0.1:9")
    with pytest.raises(
        FatalError, match=r"no connection to the package repository\): try again with a network"
    ):
        fetch(bundle)


def test_a_disk_that_is_too_small_is_told_before_the_download(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = repository.bundle(repository.add("one", b"x" * 1000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 1))
    with pytest.raises(FatalError) as caught:
        fetch(bundle)
    assert f"The disk of {tmp_path / 'cache'} is full: Example needs 64.0 MB free there" in str(caught.value)
    assert not repository.served


def test_a_disk_that_fills_up_meanwhile_is_told_and_not_tried_again(
    repository: Repository, tmp_path: Path
) -> None:
    tries: list[Artifact] = []

    def download(artifact: Artifact, folder: Path, progress: Progress) -> Path:
        tries.append(artifact)
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    with pytest.raises(FatalError, match=r"is full: Example needs .* make room, or set GROUNDSWELL_CACHE"):
        fetch(repository.bundle(repository.add("one", b"x")), download=download)
    assert len(tries) == 1
    assert not (tmp_path / "cache" / "partial").exists()


def test_two_processes_at_once_fetch_each_file_once(repository: Repository, tmp_path: Path) -> None:
    bundle = repository.bundle(*(repository.add(f"part{n}", os.urandom(400_000)) for n in range(12)))
    lock = tmp_path / "lock.json"
    lock.write_bytes(msgspec.json.encode({"example": bundle}))
    command = [sys.executable, "-c", PROGRAM, str(lock)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.communicate(timeout=120)[0] for process in both] == [b"12\n", b"12\n"]
    assert set(repository.served.values()) == {1}


def test_an_interrupted_download_ends_at_once_and_leaves_nothing(
    repository: Repository, tmp_path: Path
) -> None:
    bundle = repository.bundle(*(repository.add(f"part{n}", os.urandom(2_000_000)) for n in range(3)))
    repository.pause = 0.02
    lock = tmp_path / "lock.json"
    lock.write_bytes(msgspec.json.encode({"example": bundle}))
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(lock)], stderr=subprocess.PIPE)
    while repository.served.total() < 3:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, complaint = child.communicate(timeout=20)
    assert b"KeyboardInterrupt" in complaint
    assert not list((tmp_path / "cache").rglob("*.jar"))
    assert not (tmp_path / "cache" / "partial").exists()


def test_the_lock_lists_kafkas_closure_with_a_log_backend_and_both_lines() -> None:
    lock = read_lock()
    assert sorted(lock) == ["elasticsearch-8", "elasticsearch-9", "kafka"]
    names = {artifact.artifact for artifact in lock["kafka"].artifacts}
    assert {
        "kafka_2.13",
        "kafka-clients",
        "kafka-raft",
        "scala-library",
        "log4j-slf4j-impl",
        "log4j-core",
    } <= names
    for bundle in lock.values():
        assert all(len(artifact.sha256) == 64 and artifact.size > 1000 for artifact in bundle.artifacts)


def test_the_lock_names_no_host() -> None:
    assert b"://" not in artifacts.LOCK_FILE.read_bytes()


def test_progress_on_a_terminal_is_one_line_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    progress = Progress("Example 1.0", 1, 2_000_000, terminal)
    monkeypatch.setattr("pipeline.embedded.progress.REDRAW", 0.0)
    with progress.file("one", 2_000_000) as update:
        update(500_000)
    progress.file_done()
    progress.close()
    announced, drawn, done = terminal.getvalue().split("\r\x1b[K")[1:]
    assert announced == "Downloading Example 1.0: 1 file, 2.0 MB\n"
    assert drawn == "Example 1.0: 0/1 files, 0.5 MB of 2.0 MB"
    assert done.startswith("Downloaded Example 1.0 in ")


def test_a_failed_attempts_bytes_are_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("Example 1.0", 1, 10)
    with contextlib.suppress(ConnectionError), progress.file("one", 10) as update:
        update(7)
        raise ConnectionError
    assert progress._bytes_done == 0


def test_an_empty_bundle_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDSWELL_CACHE", str(tmp_path))
    assert fetch(Bundle("Nothing", "1", ())) == []
