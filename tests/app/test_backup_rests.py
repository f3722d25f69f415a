"""What a killed backup leaves is removed by the next one, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.app.backup.unfinished import remove_rests, unfinished

NAME = "groundswell-2026.11.22-14.30.00"
KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.app.backup.unfinished import unfinished
with unfinished(Path(sys.argv[1])) as folder:
    (folder / "events.jsonl.zst").write_bytes(b"whole posts")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1, hours=1)


def test_the_rest_of_a_killed_one_is_removed_a_day_later(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / NAME)], check=False)
    (rest,) = tmp_path.iterdir()
    assert rest.stat().st_mode & 0o777 == 0o700
    assert remove_rests(tmp_path, "groundswell", datetime.now(UTC)) == []
    assert remove_rests(tmp_path, "groundswell", tomorrow()) == [rest]
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_being_made_stays_however_long_it_takes(tmp_path: Path) -> None:
    with unfinished(tmp_path / NAME) as folder:
        assert remove_rests(tmp_path, "groundswell", tomorrow()) == []
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_is_whole_or_somebody_elses_or_only_pointed_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "elsewhere"
    for name in (NAME, ".other-2026.11.22-14.30.00.partial", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / f".{NAME}.partial").symlink_to(kept)
    assert remove_rests(tmp_path, "groundswell", tomorrow()) == []
    assert len(list(tmp_path.iterdir())) == 4


def test_one_that_fails_leaves_nothing_and_one_that_is_done_stays(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), unfinished(tmp_path / NAME) as folder:
        (folder / "a").write_bytes(b"x" * (1 // 0))
    assert list(tmp_path.iterdir()) == []
    with unfinished(tmp_path / NAME) as folder:
        folder.rename(tmp_path / NAME)
    assert (tmp_path / NAME).is_dir()
