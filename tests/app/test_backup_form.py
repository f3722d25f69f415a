"""The lines of a backup hold every record, whatever its bytes; damage is told, and never read as less."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.app.backup.form import (
    MANIFEST,
    Manifest,
    Part,
    decode_record,
    digest,
    encode_record,
    read_manifest,
    records,
    verify,
)
from pipeline.app.log_reader import LogRecord
from pipeline.core.errors import ConfigError, FatalError

BYTES = st.binary(max_size=20) | st.text(max_size=20).map(str.encode)
NAMES = st.text("ab", min_size=1, max_size=2)


@given(key=BYTES, value=BYTES, headers=st.dictionaries(NAMES, st.none() | BYTES))
def test_a_record_comes_back_as_it_was(key: bytes, value: bytes, headers: dict[str, bytes | None]) -> None:
    line = encode_record(LogRecord(3, 7, 1764, key, value, tuple(headers.items())))
    assert b"\n" not in line
    assert decode_record(line) == LogRecord(-1, -1, 1764, key, value, tuple(headers.items()))


def backup(folder: Path, lines: list[bytes], records: int | None = None, name: str = "a.zst") -> Manifest:
    packed = folder / "a.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(b"".join(line + b"\n" for line in lines)))
    with packed.open("rb") as file:
        part = Part("events", name, records or len(lines), packed.stat().st_size, digest(file), {0: 2})
    manifest = Manifest(
        created=datetime(2026, 11, 22, tzinfo=UTC),
        groundswell="1",
        kafka_prefix="p",
        elasticsearch_prefix="p",
        schema=1,
        parts=(part,),
    )
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


LINES = [encode_record(LogRecord(0, n, 0, b"k", b'{"a":1}')) for n in range(50)]


def test_a_whole_backup_is_read(tmp_path: Path) -> None:
    backup(tmp_path, LINES)
    manifest = read_manifest(tmp_path)
    verify(tmp_path, manifest)
    assert len(list(records(tmp_path, manifest.parts[0]))) == 50


def test_a_changed_file_is_told(tmp_path: Path) -> None:
    manifest = backup(tmp_path, LINES)
    whole = (tmp_path / "a.zst").read_bytes()
    (tmp_path / "a.zst").write_bytes(whole[:-5])
    with pytest.raises(FatalError, match=r"a\.zst is damaged"):
        verify(tmp_path, manifest)
    with pytest.raises(FatalError, match=r"a\.zst"):
        list(records(tmp_path, manifest.parts[0]))
    (tmp_path / "a.zst").unlink()
    with pytest.raises(FatalError, match="No such file"):
        verify(tmp_path, manifest)


def test_fewer_records_than_were_written_are_told(tmp_path: Path) -> None:
    manifest = backup(tmp_path, LINES, records=51)
    with pytest.raises(FatalError, match="50 records, and 51 by the manifest"):
        list(records(tmp_path, manifest.parts[0]))


def test_what_is_no_backup_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no backup"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"{}")
    with pytest.raises(ConfigError, match="is no manifest"):
        read_manifest(tmp_path)
    backup(tmp_path, LINES, name="../../etc/passwd")
    with pytest.raises(ConfigError, match="outside its folder"):
        read_manifest(tmp_path)


def test_who_names_the_folder_of_all_backups_is_told_the_newest(tmp_path: Path) -> None:
    for day in ("21", "22"):
        (tmp_path / f"groundswell-2026.11.{day}").mkdir()
        backup(tmp_path / f"groundswell-2026.11.{day}", LINES)
    with pytest.raises(ConfigError, match=r"2 are in it, the newest is .*groundswell-2026\.11\.22$"):
        read_manifest(tmp_path)
