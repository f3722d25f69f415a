"""Putting a server's programs where the user who runs it can read them.

Normally that is the shared cache. Where that user cannot enter it (root's own cache, for one), a copy goes
below the home. A distribution is unpacked beside its place and renamed into it, and its files' sizes are
kept, so that a half unpacked or damaged one is noticed and laid anew.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

import msgspec

from pipeline.embedded.account import Account, can_enter, can_read, open_folder
from pipeline.embedded.artifacts import Bundle, explained, fetch
from pipeline.embedded.home import Layout, cache
from pipeline.embedded.locks import locked

UNPACKED = 1.3
"""Upper bound of the size of an unpacked distribution as a multiple of its zip."""


def jars(bundle: Bundle, layout: Layout, account: Account | None) -> list[Path]:
    """Paths of the bundle's jars, readable by the account. Raises FatalError as ``fetch`` does."""
    cached = fetch(bundle)
    if can_read(cached, account):
        return cached
    folder = open_folder(layout.distributions / f"{bundle.title.lower()}-{bundle.version}")
    copies = [folder / file.name for file in cached]
    try:
        for file, copy in zip(cached, copies, strict=True):
            if not copy.exists() or copy.stat().st_size != file.stat().st_size:
                _copy(file, copy)
    except OSError as error:
        raise explained(error, bundle, folder, bundle.size) from error
    return copies


def unpacked(bundle: Bundle, layout: Layout, account: Account | None) -> Path:
    """The directory of the bundle's one zip, unpacked and enterable by the account. Raises FatalError."""
    name = f"{bundle.title.lower()}-{bundle.version}"
    shared = open_folder(cache() / "servers")
    base = shared if can_enter(shared, account) else open_folder(layout.distributions)
    target = base / name
    manifest = base / f"{name}.manifest.json"
    if complete(target, manifest):
        return target
    [archive] = fetch(bundle)
    try:
        with locked(base / "lock", waiting=lambda: None):
            if not complete(target, manifest):
                _unpack(archive, target, manifest)
    except OSError as error:
        raise explained(error, bundle, base, int(bundle.size * UNPACKED)) from error
    return target


def complete(target: Path, manifest: Path) -> bool:
    """Whether all files that ``manifest`` lists (relative path to size in bytes) are below ``target``."""
    try:
        sizes = msgspec.json.decode(manifest.read_bytes(), type=dict[str, int])
        return all((target / name).stat().st_size == size for name, size in sizes.items())
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return False


def _unpack(archive: Path, target: Path, manifest: Path) -> None:
    """Unpack the one folder in ``archive`` as ``target``, readable by everybody."""
    manifest.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix="unpack-", dir=target.parent) as temporary,
        zipfile.ZipFile(archive) as zipped,
    ):
        sizes = {}
        for info in zipped.infolist():
            path = Path(zipped.extract(info, temporary))
            # zipfile drops the modes, and the umask may be narrow.
            path.chmod(0o755 if info.is_dir() or info.external_attr >> 16 & 0o100 else 0o644)
            if not info.is_dir():
                sizes[str(Path(*Path(info.filename).parts[1:]))] = info.file_size
        [folder] = Path(temporary).iterdir()
        folder.chmod(0o755)
        folder.rename(target)
    manifest.write_bytes(msgspec.json.encode(sizes))


def _copy(file: Path, copy: Path) -> None:
    partial = copy.with_name(f"{copy.name}.partial")
    shutil.copyfile(file, partial)
    partial.chmod(0o644)
    partial.replace(copy)
