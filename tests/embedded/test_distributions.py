"""Programs are laid where the servers' user can read them, and laid anew when damaged."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from pipeline.embedded.account import Account, account_for, can_enter, can_read, create, give, make_home
from pipeline.embedded.artifacts import Bundle
from pipeline.embedded.distributions import jars, unpacked
from pipeline.embedded.home import Layout

from .conftest import Repository

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")


def zipped() -> bytes:
    """A distribution: a folder with a program and a file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        program = zipfile.ZipInfo("example-1.0/bin/run")
        program.external_attr = 0o100755 << 16
        archive.writestr(program, "#!/bin/sh\necho ran\n")
        archive.writestr("example-1.0/lib/one.jar", "x" * 1000)
    return buffer.getvalue()


@pytest.fixture
def bundle(repository: Repository) -> Bundle:
    return repository.bundle(repository.add("example", zipped(), "zip"))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can enter, as pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="groundswell-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def nobody() -> Account:
    account = account_for(Path("/"))
    assert account is not None
    return account


def test_a_zip_is_unpacked_once_with_its_modes(
    bundle: Bundle, repository: Repository, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "home")
    folder = unpacked(bundle, layout, None)
    assert folder == tmp_path / "cache" / "servers" / "example-1.0"
    assert (folder / "bin" / "run").stat().st_mode & 0o777 == 0o755
    assert (folder / "lib" / "one.jar").stat().st_mode & 0o777 == 0o644
    assert unpacked(bundle, layout, None) == folder
    assert repository.served.total() == 1
    assert not layout.home.exists()


@pytest.mark.parametrize("damage", ["file cut", "file gone", "manifest gone", "folder gone"])
def test_a_damaged_one_is_laid_anew(bundle: Bundle, tmp_path: Path, damage: str) -> None:
    layout = Layout(tmp_path / "home")
    folder = unpacked(bundle, layout, None)
    match damage:
        case "file cut":
            (folder / "lib" / "one.jar").write_text("x")
        case "file gone":
            (folder / "bin" / "run").unlink()
        case "manifest gone":
            folder.with_name("example-1.0.manifest.json").unlink()
        case "folder gone":
            shutil.rmtree(folder)
    assert unpacked(bundle, layout, None) == folder
    assert (folder / "lib" / "one.jar").stat().st_size == 1000
    assert (folder / "bin" / "run").exists()


@root_only
def test_where_the_cache_is_barred_copies_go_below_the_home(
    bundle: Bundle, repository: Repository, open_folder: Path, nobody: Account
) -> None:
    # The cache is below pytest's folder, which is root's alone.
    layout = Layout(open_folder / "home")
    folder = unpacked(bundle, layout, nobody)
    assert folder == layout.home / "servers" / "example-1.0"
    assert can_enter(folder / "bin", nobody)
    parts = repository.bundle(*(repository.add(f"part{n}", b"x" * n) for n in range(1, 4)))
    files = jars(parts, layout, nobody)
    assert {file.parent for file in files} == {layout.home / "servers" / "example-1.0"}
    assert can_read(files, nobody)


@root_only
def test_a_barred_parent_is_named_with_the_way_out(tmp_path: Path, nobody: Account) -> None:
    home = tmp_path / "home"
    barred = next(parent for parent in reversed(home.parents) if parent.stat().st_mode & 0o001 == 0)
    with pytest.raises(ConfigError) as caught:
        make_home(home, nobody)
    assert f"who may not enter {barred}: set GROUNDSWELL_HOME to a directory outside it" in str(caught.value)
    assert barred.stat().st_mode & 0o001 == 0
    assert not home.exists()


def test_a_home_of_ones_own_is_private(tmp_path: Path) -> None:
    make_home(tmp_path / "home", None)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


@root_only
def test_only_the_home_itself_is_opened(open_folder: Path, nobody: Account) -> None:
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    make_home(home, nobody)
    assert home.stat().st_mode & 0o777 == 0o711
    assert can_enter(home, nobody)


@root_only
def test_a_home_of_somebody_else_is_served_as_that_user(open_folder: Path) -> None:
    os.chown(open_folder, 12345, 12345)
    account = account_for(open_folder)
    assert account is not None
    assert (account.uid, account.gid, account.name) == (12345, 12345, "12345")


@root_only
def test_root_is_not_led_out_by_links(open_folder: Path, nobody: Account) -> None:
    victim = open_folder / "victim"
    victim.write_text("root's own")
    folder = open_folder / "conf"
    folder.mkdir()
    (folder / "link").symlink_to(victim)
    give(folder, nobody)
    with create(folder / "link", nobody) as file:
        file.write(b"new")
    assert victim.read_text() == "root's own"
    assert victim.stat().st_uid == 0
    assert (folder / "link").stat().st_uid == nobody.uid
