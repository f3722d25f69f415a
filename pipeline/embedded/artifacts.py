"""The servers' programs as Maven artifacts: fetched once, checked against the sums kept in this repository.

``artifacts.lock.json`` lists every file with its SHA-256; with it nothing is resolved at run time. Files are
fetched by coordinates through ``jgo`` into a private folder, checked, and only then renamed into the cache,
so that neither a broken download nor a killed process leaves a bad file where a good one is looked for.

``python -m pipeline.embedded.artifacts --relock`` writes the lock file anew.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from pipeline.core.errors import FatalError
from pipeline.embedded.home import cache
from pipeline.embedded.locks import locked
from pipeline.embedded.progress import Progress, megabytes

LOCK_FILE = Path(__file__).with_name("artifacts.lock.json")

MIRROR = "GROUNDSWELL_MAVEN_MIRROR"
"""Environment variable: the base address of a Maven repository to use in place of the public one."""

PARALLEL = 6
ATTEMPTS = 3
TIMEOUT = 30
"""Seconds without a byte from the repository before an attempt fails."""

SPARE = 64_000_000
"""Bytes that must remain free on the cache's disk beside what is fetched."""


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file by its Maven coordinates; ``size`` in bytes, ``sha256`` in hexadecimal."""

    group: str
    artifact: str
    version: str
    packaging: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.{self.packaging}"

    @property
    def path(self) -> Path:
        """Below the cache."""
        return Path("artifacts", self.group, self.artifact, self.version, self.filename)


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All files of one server; ``title`` is what a person calls it."""

    title: str
    version: str
    artifacts: tuple[Artifact, ...]

    @property
    def size(self) -> int:
        return sum(artifact.size for artifact in self.artifacts)


Download = Callable[[Artifact, Path, Progress], Path]
"""Fetches one artifact below a folder and returns where it is; raises OSError or RuntimeError."""


def read_lock(path: Path = LOCK_FILE) -> dict[str, Bundle]:
    """The bundles by name: ``kafka``, ``elasticsearch-8``, ``elasticsearch-9``."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Bundle])


def fetch(bundle: Bundle, *, download: Download | None = None) -> list[Path]:
    """The bundle's files in the cache, fetched as far as they are missing or damaged, in the lock's order.

    Raises FatalError where the disk is full, the repository is out of reach or a sum is wrong thrice.
    """
    root = cache()
    try:
        missing = [artifact for artifact in bundle.artifacts if not intact(root / artifact.path, artifact)]
        if missing:
            with locked(
                root / "lock", waiting=lambda: _say(f"Waiting for another download of {bundle.title} …")
            ):
                _fetch_missing(bundle, root, download or download_with_jgo)
    except OSError as error:
        raise explained(error, bundle, root, bundle.size) from error
    return [root / artifact.path for artifact in bundle.artifacts]


def intact(path: Path, artifact: Artifact) -> bool:
    """Whether ``path`` holds exactly the locked bytes."""
    try:
        if path.stat().st_size != artifact.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
    except FileNotFoundError:
        return False


def _fetch_missing(bundle: Bundle, root: Path, download: Download) -> None:
    # Whoever had the lock before may have fetched them.
    missing = [artifact for artifact in bundle.artifacts if not intact(root / artifact.path, artifact)]
    if not missing:
        return
    partial = root / "partial"
    shutil.rmtree(
        partial, ignore_errors=True
    )  # left by a killed process: we hold the lock, so nobody writes there
    partial.mkdir(parents=True)
    needed = sum(artifact.size for artifact in missing)
    if shutil.disk_usage(root).free < needed + SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    progress = Progress(f"{bundle.title} {bundle.version}", len(missing), needed)
    pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="groundswell-download")
    try:
        # Largest first: otherwise the last thread is left alone with the biggest file.
        order = sorted(missing, key=lambda artifact: -artifact.size)
        list(pool.map(lambda artifact: _fetch_one(artifact, root, partial, download, progress), order))
    except BaseException:
        progress.cancel()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        progress.close()
        shutil.rmtree(partial, ignore_errors=True)


def _fetch_one(artifact: Artifact, root: Path, partial: Path, download: Download, progress: Progress) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        folder = Path(tempfile.mkdtemp(dir=partial))
        try:
            file = download(artifact, folder, progress)
        except OSError as error:
            hopeless = isinstance(error, InterruptedError) or error.errno in (errno.ENOSPC, errno.EDQUOT)
            if hopeless or attempt == ATTEMPTS:
                raise
            continue
        if intact(file, artifact):
            target = root / artifact.path
            target.parent.mkdir(parents=True, exist_ok=True)
            file.chmod(0o644)
            file.replace(target)
            progress.file_done()
            return
    raise FatalError(
        f"{artifact.filename} came {ATTEMPTS} times with a wrong SHA-256 sum: have somebody look at "
        f"this network's package repository before you use it."
    )


def download_with_jgo(artifact: Artifact, folder: Path, progress: Progress) -> Path:
    """Fetch one artifact below ``folder``. Raises OSError (no connection, full disk, not found)."""
    from jgo.maven import MavenContext, PythonResolver

    mirror = os.environ.get(MIRROR)
    context = MavenContext(
        repo_cache=folder,
        resolver=PythonResolver(progress_callback=progress.file),
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=TIMEOUT,
    )
    component = context.project(artifact.group, artifact.artifact).at_version(artifact.version)
    try:
        return Path(component.artifact(packaging=artifact.packaging).resolve())
    except RuntimeError as error:
        raise FileNotFoundError(errno.ENOENT, f"the repository does not have {artifact.filename}") from error


def explained(error: OSError, bundle: Bundle, root: Path, size: int) -> FatalError:
    """What to tell a person when ``size`` bytes of ``bundle`` could not be had or written below ``root``."""
    need = megabytes(size + SPARE)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FatalError(
            f"The disk of {root} is full: {bundle.title} needs {need} free there; make room, or set "
            f"GROUNDSWELL_CACHE to a directory on another disk."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return FatalError(
            f"{error.filename or root} cannot be written: set GROUNDSWELL_CACHE to a directory of yours."
        )
    reason = (
        error.strerror if isinstance(error, FileNotFoundError) else "no connection to the package repository"
    )
    return FatalError(
        f"{bundle.title} {bundle.version} could not be downloaded ({reason}): try again with a network, set "
        f"{MIRROR} to a Maven repository that can be reached, or copy {root} from a machine that has it."
    )


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main(arguments: Sequence[str]) -> int:
    """``--relock`` resolves the versions named in ``relock.py`` and writes the lock file."""
    if list(arguments) != ["--relock"]:
        _say("usage: python -m pipeline.embedded.artifacts --relock")
        return 2
    from pipeline.embedded.relock import resolve

    bundles = resolve(_say)
    LOCK_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(bundles), indent=1) + b"\n")
    for bundle in bundles.values():
        _say(f"{bundle.title} {bundle.version}: {len(bundle.artifacts)} files, {megabytes(bundle.size)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
