"""The version before this one, built from the repository's history and run beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

# Until there is a first tag: the last commit before this program learnt to read the schema before its own.
PINNED = "36b114f12a7d86b6334ca320d072247b282f098c"


class NoFormer(Exception):
    """There is none to be had here; the message says why."""


def former(checkout: Path, folder: Path) -> tuple[str, dict[str, str]]:
    """The version's name, and what the environment of its processes must say: its wheel is built and unpacked
    below ``folder``. It is the newest tag that is not this very commit, else :data:`PINNED`.

    Raises NoFormer where the history does not reach back so far, as in a shallow clone.
    """
    name = _newest_tag(checkout) or PINNED
    source, installed = folder / "source", folder / "installed"
    source.mkdir(parents=True)
    archive = folder / "source.tar"
    told = _git(checkout, "archive", "--output", str(archive), name)
    if told.returncode:
        raise NoFormer(f"git has no {name} here: {told.stderr.decode(errors='replace').strip()}")
    with tarfile.open(archive) as packed:
        packed.extractall(source, filter="data")
    made = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--no-index", "--disable-pip-version-check", "--target", str(installed), str(source)),
        ],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"{name} cannot be built: {made.stderr.decode(errors='replace')}")
    # Without the second the checkout, as the working directory, would go before it.
    return name, {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}


def _newest_tag(checkout: Path) -> str | None:
    here = _git(checkout, "rev-parse", "HEAD").stdout
    tags = _git(checkout, "tag", "--merged", "HEAD", "--sort", "-creatordate").stdout.decode().split()
    return next(
        (tag for tag in tags if _git(checkout, "rev-parse", f"{tag}^{{commit}}").stdout != here), None
    )


def _git(checkout: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", "-c", f"safe.directory={checkout}", "-C", str(checkout), *words],
            capture_output=True,
            check=False,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
        )
    except OSError as error:
        raise NoFormer(f"there is no git: {error}") from None
