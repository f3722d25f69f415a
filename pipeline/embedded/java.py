"""Finding a Java for the servers.

Order: ``JAVA_HOME`` if it suits (a person chose it), else the newest of ``PATH`` and the usual folders, else
``cjdk`` fetches one into our cache. A Java "suits" when its major version is in range, it has the modules
that Elasticsearch needs, and the user who runs the servers may execute it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.errors import ConfigError
from pipeline.embedded.account import Account, can_run
from pipeline.embedded.home import cache

MINIMUM = 17
"""Kafka 4 and Elasticsearch 8.19 need Java 17."""

NEWEST_TESTED = 25
"""Newer ones are used only where nothing else is found: Elasticsearch instruments the JDK's own classes."""

FETCHED = "25"

REQUIRED_MODULES = frozenset(
    {"java.instrument", "java.management", "jdk.attach", "jdk.incubator.vector", "jdk.net", "jdk.unsupported"}
)

USUAL_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/lib64/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/jdk*",
    "~/.jdks/*",
    "~/.sdkman/candidates/java/*",
    "~/.asdf/installs/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "~/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
)


@dataclass(frozen=True, slots=True)
class Java:
    """One installed Java: ``home/bin/java`` exists and said that it is ``version``."""

    home: Path
    major: int
    version: str

    @property
    def program(self) -> Path:
        return self.home / "bin" / "java"


@dataclass(frozen=True, slots=True)
class Search:
    """Where to look, and for whom: ``account`` runs the Java; ``fetch`` returns the home of a new one."""

    account: Account | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folders: tuple[str, ...] = USUAL_FOLDERS
    fetch: Callable[[], Path] = field(default_factory=lambda: fetch_with_cjdk)


def choose(at_least: int = MINIMUM, *, at_most: int | None = None, search: Search | None = None) -> Java:
    """The Java to use, with ``at_least <= major``, and ``<= at_most`` wherever there is such a one.

    Raises ConfigError when there is none and none can be fetched.
    """
    search = Search() if search is None else search
    chosen = search.environment.get("JAVA_HOME")
    java = probe(Path(chosen)) if chosen else None
    if java is not None and _suits(java, at_least, search.account):
        return java
    found = list(installed(search.environment, search.folders))
    ceiling = NEWEST_TESTED if at_most is None else at_most
    for java in sorted(found, key=lambda java: (java.major > ceiling, -java.major)):
        if _suits(java, at_least, search.account):
            return java
    return _fetched(at_least, found, search.fetch)


def _suits(java: Java, at_least: int, account: Account | None) -> bool:
    return java.major >= at_least and complete(java) and can_run(java.program, account)


def installed(environment: Mapping[str, str], folders: tuple[str, ...]) -> Iterator[Java]:
    """Every Java on ``PATH``, in the usual folders and in our cache, each once."""
    seen: set[Path] = set()
    for home in _homes(environment, folders):
        java = probe(home)
        if java is not None and (real := java.home.resolve()) not in seen:
            seen.add(real)
            yield java


def _homes(environment: Mapping[str, str], folders: tuple[str, ...]) -> Iterator[Path]:
    if program := shutil.which("java", path=environment.get("PATH", "")):
        real = Path(program).resolve()
        # A version manager's shim or macOS's stub is not inside a Java home: ask it where that is.
        home = real.parent.parent if (real.parent.parent / "release").exists() else _asked(real)[0]
        if home is not None:
            yield home
    for folder in (*folders, str(cache() / "java" / "**" / "release")):
        pattern = Path(folder).expanduser()
        for path in sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))):
            yield path.parent if path.name == "release" else path


def probe(home: Path) -> Java | None:
    """The Java at ``home``, or None where there is none that runs."""
    program = home / "bin" / "java"
    if not os.access(program, os.X_OK):
        return None
    version = _release(home).get("JAVA_VERSION") or _asked(program)[1]
    major = _major(version)
    return None if major is None else Java(home, major, version)


def complete(java: Java) -> bool:
    """Whether a ``release`` file that lists modules lists all that Elasticsearch needs."""
    modules = _release(java.home).get("MODULES", "").split()
    return not modules or REQUIRED_MODULES.issubset(modules)


def _release(home: Path) -> dict[str, str]:
    """The key-value pairs of a JDK's ``release`` file; empty where there is none."""
    try:
        text = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {
        key: value.strip().strip('"') for key, _, value in (line.partition("=") for line in text.splitlines())
    }


def _asked(program: Path) -> tuple[Path | None, str]:
    """Home and version as the program itself tells them; None and empty when it does not run."""
    command = [str(program), "-XshowSettings:properties", "-version"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None, ""
    home = re.search(r"java\.home = (.+)", said)
    version = re.search(r'version "([^"]+)"', said)
    return (Path(home[1].strip()) if home else None), (version[1] if version else "")


def _major(version: str) -> int | None:
    """17 for ``17.0.15``, 8 for ``1.8.0_362``, None for what is no version."""
    match = re.match(r"(?:1\.)?(\d+)", version)
    return int(match[1]) if match else None


def _fetched(at_least: int, found: list[Java], fetch: Callable[[], Path]) -> Java:
    try:
        java = probe(fetch())
    except OSError as error:
        seen = ", ".join(f"{java.version} in {java.home}" for java in found) or "none"
        raise ConfigError(
            f"No usable Java {at_least} or newer was found (found: {seen}) and none could be fetched "
            f"({error}): install a full JDK, for example your system's openjdk package, or set JAVA_HOME."
        ) from error
    if java is None:
        raise ConfigError(
            f"The fetched Java does not run here: install a JDK {at_least} or newer and set JAVA_HOME."
        )
    return java


def fetch_with_cjdk() -> Path:
    """Fetch a JDK into our cache and return its home. Raises OSError when it cannot be had."""
    import cjdk

    try:
        return Path(cjdk.java_home(vendor="adoptium", version=FETCHED, cache_dir=cache() / "java"))
    except cjdk.CjdkError as error:
        # Its messages carry whole URLs and stack-like detail after the first colon.
        raise OSError((str(error) or "no reason given").splitlines()[0].partition(":")[0]) from error
