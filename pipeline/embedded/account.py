"""As whom the servers run, and whether that user can reach a directory.

Elasticsearch refuses to run as root, and no server on a developer's machine needs root. So root's servers
run as the owner of the home where that is somebody else, otherwise as an unprivileged system user.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.core.errors import ConfigError

CANDIDATES = ("groundswell", "elasticsearch", "nobody", "daemon")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user to switch to."""

    name: str
    uid: int
    gid: int


def account_for(home: Path) -> Account | None:
    """The user who runs the servers of ``home``; None means the present user, with no switch.

    Raises ConfigError when this is root and the machine has no user to switch to.
    """
    if os.geteuid() != 0:
        return None
    if home.exists() and (owner := home.stat()).st_uid != 0:
        return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigError(
        "Elasticsearch does not run as root: create a system user named groundswell and try again."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def can_enter(directory: Path, account: Account | None) -> bool:
    """Whether the user may enter ``directory`` through all its parents; asks the kernel, so ACLs count."""
    return _permits('cd -- "$1"', [directory], account)


def can_run(program: Path, account: Account | None) -> bool:
    """Whether the user may execute ``program``."""
    return _permits('test -x "$1"', [program], account)


def can_read(files: Iterable[Path], account: Account | None) -> bool:
    """Whether the user may read every one of ``files``."""
    return _permits('for file; do test -r "$file" || exit 1; done', files, account)


def _permits(test: str, paths: Iterable[Path], account: Account | None) -> bool:
    command = ["/bin/sh", "-c", test, "sh", *map(str, paths)]
    if account is None:
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
    switched = subprocess.run(
        command,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return switched.returncode == 0


def make_home(home: Path, account: Account | None) -> None:
    """Make ``home`` if need be: private to its user, or enterable by the account; never touches its parents.

    Raises ConfigError naming the directory that bars the account's way, and then has made nothing.
    """
    if account is not None:
        for parent in reversed(home.resolve().parents):
            if parent.exists() and not can_enter(parent, account):
                raise ConfigError(
                    f"The servers run as {account.name}, who may not enter {parent}: set GROUNDSWELL_HOME to "
                    f"a directory outside it, or run `chmod o+x {parent}`."
                )
    if not home.exists():
        open_folder(home.parent)
        home.mkdir(mode=0o700)
    if account is not None and not can_enter(home, account):
        home.chmod(home.stat().st_mode | 0o011)


def give(directory: Path, account: Account | None) -> None:
    """Make ``directory`` if need be and hand it with its contents to the account."""
    if not directory.exists():
        open_folder(directory.parent)
        directory.mkdir(mode=0o750)
    if account is None or directory.stat().st_uid == account.uid:
        return
    for folder, _, files in os.walk(directory.resolve()):
        for path in (Path(folder), *(Path(folder, file) for file in files)):
            # lchown: root must not be led out of the directory by somebody's symbolic link.
            os.lchown(path, account.uid, account.gid)


def create(file: Path, account: Account | None) -> BinaryIO:
    """A new file in place of any old one, opened for writing and owned by the account."""
    # The directory belongs to the account, which could have laid a symbolic link there for root to write
    # through: O_EXCL follows none.
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    if account is not None:
        os.fchown(descriptor, account.uid, account.gid)
    return os.fdopen(descriptor, "wb")


def open_folder(folder: Path) -> Path:
    """``folder``, made if need be, enterable by all whatever the umask; nothing else is changed."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    return folder
