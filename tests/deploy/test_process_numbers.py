"""Why enrich and directory share a container, or at least its process numbers: the locks of the directory's
file tell processes apart by them. The day that these tests fail, they may have a container each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WRITER = """
import sys
from pathlib import Path
from pipeline.identity.directory import DirectoryWriter

writer = DirectoryWriter(Path(sys.argv[1]))
writer.positions()
print("written", flush=True)
sys.stdin.read()
"""

READER = """
import sys
from pathlib import Path
from pipeline.identity.directory import DirectoryReader

print(DirectoryReader(Path(sys.argv[1])).revision())
"""

OWN_NUMBERS = ("unshare", "--pid", "--fork")


def _numbers_of_its_own() -> bool:
    try:
        return subprocess.run([*OWN_NUMBERS, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _read_beside_a_writer(folder: Path, before: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """What a reader says while a writer is at it; both started with ``before``."""
    python = [*before, sys.executable, "-c"]
    with subprocess.Popen(
        [*python, WRITER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin
        assert writer.stdout
        try:
            assert writer.stdout.readline() == "written\n"
            return subprocess.run([*python, READER, str(folder)], capture_output=True, text=True, check=False)
        finally:
            writer.stdin.close()
            writer.wait(30)


def test_processes_that_count_together_share_the_file(tmp_path: Path) -> None:
    done = _read_beside_a_writer(tmp_path / "directory", ())
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_processes_that_count_apart_cannot(tmp_path: Path) -> None:
    if not _numbers_of_its_own():
        pytest.skip("needs the right to give processes numbers of their own (unshare --pid)")
    done = _read_beside_a_writer(tmp_path / "directory", OWN_NUMBERS)
    assert done.returncode != 0
    assert "cannot be used" in done.stderr
