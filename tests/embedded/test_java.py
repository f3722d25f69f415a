"""Which Java is taken, from fake folders with ``release`` files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from pipeline.embedded import account, java
from pipeline.embedded.java import Search, choose, probe

ALL_MODULES = " ".join(sorted(java.REQUIRED_MODULES | {"java.base"}))


def jdk(home: Path, version: str, *, modules: str = ALL_MODULES, release: bool = True) -> Path:
    """A folder that looks like a JDK; its ``java`` tells its version as the true one does."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!/bin/sh\necho '    java.home = {home}' >&2\necho 'openjdk version \"{version}\" 2026-01-01' >&2\n"
    )
    program.chmod(0o755)
    if release:
        (home / "release").write_text(
            f'IMPLEMENTOR="Example"\nJAVA_VERSION="{version}"\nMODULES="{modules}"\n'
        )
    return home


def nothing_to_fetch() -> Path:
    raise OSError("no connection")


def search(tmp_path: Path, **environment: str) -> Search:
    return Search(environment=environment, folders=(str(tmp_path / "jvm" / "*"),), fetch=nothing_to_fetch)


@pytest.fixture(autouse=True)
def _no_cached_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDSWELL_CACHE", str(tmp_path / "cache"))


def test_java_home_wins_over_newer_ones(tmp_path: Path) -> None:
    mine = jdk(tmp_path / "mine", "17.0.1")
    jdk(tmp_path / "jvm" / "b", "25.0.1")
    assert choose(search=search(tmp_path, JAVA_HOME=str(mine))).home == mine


@pytest.mark.parametrize("chosen", ["11.0.2", "1.8.0_362"])
def test_a_java_home_that_is_too_old_is_passed_over(tmp_path: Path, chosen: str) -> None:
    old = jdk(tmp_path / "old", chosen)
    good = jdk(tmp_path / "jvm" / "good", "21.0.2")
    found = choose(search=search(tmp_path, JAVA_HOME=str(old)))
    assert (found.home, found.major, found.version) == (good, 21, "21.0.2")


def test_the_newest_of_path_and_the_usual_folders_is_taken(tmp_path: Path) -> None:
    on_path = jdk(tmp_path / "path", "17.0.9")
    jdk(tmp_path / "jvm" / "a", "21.0.1")
    newest = jdk(tmp_path / "jvm" / "b", "25.0.1")
    assert choose(search=search(tmp_path, PATH=str(on_path / "bin"))).home == newest


def test_one_newer_than_tested_is_taken_only_where_there_is_no_other(tmp_path: Path) -> None:
    future = jdk(tmp_path / "jvm" / "future", "31")
    assert choose(search=search(tmp_path)).home == future
    known = jdk(tmp_path / "jvm" / "known", "21.0.1")
    assert choose(search=search(tmp_path)).home == known


def test_at_most_is_preferred_not_demanded(tmp_path: Path) -> None:
    jdk(tmp_path / "jvm" / "new", "25.0.1")
    assert choose(at_most=20, search=search(tmp_path)).major == 25
    jdk(tmp_path / "jvm" / "old", "17.0.1")
    assert choose(at_most=20, search=search(tmp_path)).major == 17


def test_a_link_on_path_leads_to_the_home(tmp_path: Path) -> None:
    home = jdk(tmp_path / "real", "17.0.9")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert choose(search=search(tmp_path, PATH=str(tmp_path / "bin"))).home == home


def test_a_version_managers_shim_is_asked_where_its_java_is(tmp_path: Path) -> None:
    home = jdk(tmp_path / "managed", "17.0.9")
    shim = tmp_path / "shims" / "java"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {home}/bin/java "$@"\n')
    shim.chmod(0o755)
    assert choose(search=search(tmp_path, PATH=str(shim.parent))).home == home


def test_without_a_release_file_the_program_is_asked(tmp_path: Path) -> None:
    found = probe(jdk(tmp_path / "bare", "21.0.4", release=False))
    assert found is not None
    assert (found.major, found.version) == (21, "21.0.4")


def test_a_runtime_without_the_modules_is_passed_over(tmp_path: Path) -> None:
    jdk(tmp_path / "jvm" / "slim", "25.0.1", modules="java.base java.logging")
    full = jdk(tmp_path / "jvm" / "full", "17.0.1")
    assert choose(search=search(tmp_path)).home == full


@pytest.mark.parametrize("broken", ["empty", "not executable", "says nothing"])
def test_broken_folders_are_no_java(tmp_path: Path, broken: str) -> None:
    home = tmp_path / "broken"
    (home / "bin").mkdir(parents=True)
    if broken != "empty":
        program = home / "bin" / "java"
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o644 if broken == "not executable" else 0o755)
    assert probe(home) is None


def test_none_found_is_one_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    old = jdk(tmp_path / "jvm" / "old", "11.0.2")
    with pytest.raises(ConfigError) as caught:
        choose(search=search(tmp_path))
    assert str(caught.value) == (
        f"No usable Java 17 or newer was found (found: 11.0.2 in {old}) and none could be fetched "
        f"(no connection): install a full JDK, for example your system's openjdk package, or set JAVA_HOME."
    )


def test_a_fetched_one_is_taken(tmp_path: Path) -> None:
    fetched = Search(environment={}, folders=(), fetch=lambda: jdk(tmp_path / "fetched", "25.0.1"))
    assert choose(search=fetched).home == tmp_path / "fetched"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")
def test_one_that_the_servers_user_cannot_run_is_passed_over(tmp_path: Path) -> None:
    # pytest's own folder is root's alone
    jdk(tmp_path / "jvm" / "barred", "25.0.1")
    nobody = account.account_for(Path("/"))
    assert nobody is not None
    with pytest.raises(ConfigError, match="No usable Java"):
        choose(search=Search(nobody, {}, (str(tmp_path / "jvm" / "*"),), nothing_to_fetch))
