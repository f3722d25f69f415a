"""The form of a backup of the log: a folder with one file a topic, and a manifest that says what they hold.

A file is JSON Lines, packed by zstd, one record a line. Pure but for the reading and hashing of files.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard
from msgspec import Struct

from connectors._lines import open_stream
from pipeline.app.log_reader import LogRecord
from pipeline.core.errors import ConfigError, FatalError
from pipeline.core.post import Time

FORMAT = 1
MANIFEST = "manifest.json"
_CHUNK = 1024 * 1024


class Line(Struct, frozen=True, omit_defaults=True):
    """One record. ``packed`` names those of key, value and headers that are no text and stand in base64."""

    key: str
    value: str
    at: int
    headers: tuple[tuple[str, str | None], ...] = ()
    packed: tuple[str, ...] = ()


class Part(Struct, frozen=True):
    """One topic: its name without the prefix, its file, how many records that has, how long it is in bytes,
    its SHA-256, and the offset behind the last record by partition, when it was read."""

    topic: str
    file: str
    records: int
    bytes: int
    sha256: str
    after: dict[int, int]


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup holds. Restored events name indices, hence ``elasticsearch_prefix``."""

    format: int = FORMAT
    created: Time
    groundswell: str
    kafka_prefix: str
    elasticsearch_prefix: str
    schema: int
    parts: tuple[Part, ...]


_encode = msgspec.json.Encoder().encode
_line = msgspec.json.Decoder(Line).decode


def encode_record(record: LogRecord) -> bytes:
    """The line of a record, without its end; its value is not None."""
    packed: list[str] = []

    def text(name: str, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            packed.append(name)
            return b64encode(raw).decode()

    headers = tuple(
        (name, text(f"header {name}", value) if isinstance(value, bytes) else value)
        for name, value in record.headers
    )
    key, value = text("key", record.key), text("value", record.value or b"")
    return _encode(Line(key, value, record.timestamp, headers, tuple(packed)))


def decode_record(raw: bytes) -> LogRecord:
    """The record of a line; its partition and offset are -1. Raises FatalError where it is none."""
    try:
        line = _line(raw)
        headers = tuple(
            (name, value if value is None else _bytes(f"header {name}", value, line))
            for name, value in line.headers
        )
        key, value = _bytes("key", line.key, line), _bytes("value", line.value, line)
    except (msgspec.DecodeError, ValueError) as error:
        raise FatalError(f"a line of the backup is damaged: {error}") from None
    return LogRecord(-1, -1, line.at, key, value, headers)


def _bytes(name: str, text: str, line: Line) -> bytes:
    return b64decode(text, validate=True) if name in line.packed else text.encode()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup; ConfigError where the folder is none, or of a later Groundswell."""
    try:
        found = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        below = sorted(file.parent.name for file in folder.glob(f"*/{MANIFEST}"))
        hint = f"; {len(below)} are in it, the newest is {folder / below[-1]}" if below else ""
        raise ConfigError(f"{folder} holds no backup: {MANIFEST}: {error.strerror}{hint}") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{folder / MANIFEST} is no manifest of a backup: {error}") from None
    if found.format > FORMAT:
        raise ConfigError(f"{folder} was written by Groundswell {found.groundswell}: restore it with that")
    if any(Path(part.file).name != part.file for part in found.parts):
        raise ConfigError(f"{folder / MANIFEST} names files outside its folder")
    return found


def verify(folder: Path, manifest: Manifest) -> None:
    """Raises FatalError with all files that are not what the manifest says."""
    problems = []
    for part in manifest.parts:
        try:
            with (folder / part.file).open("rb") as file:
                if digest(file) != part.sha256:
                    problems.append(f"{part.file} is damaged: its SHA-256 is another")
        except OSError as error:
            problems.append(f"{part.file}: {error.strerror}")
    if problems:
        raise FatalError(f"{folder}: {'; '.join(problems)}")


def key_digest(key: bytes) -> bytes:
    """What stands for a key where many are remembered."""
    return hashlib.blake2b(key, digest_size=12).digest()


def digest(file: BinaryIO) -> str:
    """The SHA-256 of the rest of a file, in hexadecimal."""
    found = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        found.update(chunk)
    return found.hexdigest()


def records(folder: Path, part: Part) -> Iterator[LogRecord]:
    """The records of a part in their order; raises FatalError where some are missing or damaged."""
    count = 0
    with closing(open_stream(str(folder / part.file))) as stream:
        try:
            for line in stream:
                yield decode_record(line)
                count += 1
        except (OSError, EOFError, zstandard.ZstdError) as error:
            raise FatalError(f"{part.file} is damaged: {error}") from None
    if count != part.records:
        raise FatalError(f"{part.file} has {count} records, and {part.records} by the manifest")
