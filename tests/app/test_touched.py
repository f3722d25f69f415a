"""Which files' changes have a parked connector tried again, and what counts as a change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from pipeline.app.touched import files_of, marks
from pipeline.core.settings import Secret, Table


class SETTINGS(Struct, frozen=True):
    token: Annotated[Secret, Meta(description="it")] = Secret()
    path: Annotated[Path | None, Meta(description="it")] = None
    word: str = ""


def test_the_settings_file_and_all_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table({"kind": "k", "token_file": "secret", "path": "data", "word": "w"}, folder=tmp_path)
    settings = tmp_path / "groundswell.toml"
    assert files_of(SETTINGS, "one", table, settings) == [settings, tmp_path / "secret", tmp_path / "data"]
    assert files_of(SETTINGS, "one", Table({"kind": "k"}), None) == []
    monkeypatch.setenv("GROUNDSWELL_CONNECTORS_ONE_TOKEN_FILE", "/run/secrets/one")
    assert files_of(SETTINGS, "one", table, None) == [Path("/run/secrets/one"), tmp_path / "data"]


def test_coming_going_writing_and_replacing_are_changes(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    seen = [marks([file])]
    file.write_text("old")
    seen.append(marks([file]))
    assert marks([file]) == seen[-1]
    other = tmp_path / "other"
    other.write_text("new")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.replace(file)
    seen.append(marks([file]))
    file.write_text("longer")
    seen.append(marks([file]))
    assert len(set(seen)) == 4
    file.unlink()
    assert marks([file]) == seen[0]


def test_what_a_connector_writes_into_its_own_folder_is_no_change(tmp_path: Path) -> None:
    absent = marks([tmp_path / "memory"])
    (tmp_path / "memory").mkdir()
    there = marks([tmp_path / "memory"])
    (tmp_path / "memory" / "file").write_text("new")
    assert marks([tmp_path / "memory"]) == there != absent
