"""The Dockerfile held against the repository: a small reader of its instructions, and what has to be so."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from pipeline.app.health import ROLES
from pipeline.core.settings import Settings
from testkit.deploy.container import command_problems, settings_problems

PERMANENT = ("GROUNDSWELL_HOME",)


class Instruction(Struct, frozen=True):
    """One instruction: ``COPY`` and what follows, lines joined."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """What follows as words: of a list in JSON, or of a shell's line."""
        return list(json.loads(self.rest)) if self.rest.startswith("[") else shlex.split(self.rest)


class Stage(Struct, frozen=True):
    """A FROM and what follows it. ``arguments`` are those declared before the first FROM."""

    image: str
    name: str
    instructions: Sequence[Instruction]

    def all(self, name: str) -> list[Instruction]:
        """Its instructions of a name."""
        return [one for one in self.instructions if one.name == name]

    def one(self, name: str) -> Instruction:
        """The last of a name, which is the one that counts; an empty one where there is none."""
        return (self.all(name) or [Instruction(name, "")])[-1]

    @property
    def environ(self) -> dict[str, str]:
        """What its ENV instructions set."""
        return dict(word.split("=", 1) for one in self.all("ENV") for word in one.words)


def read(text: str) -> list[Stage]:
    """The stages of a Dockerfile, with the defaults of arguments put in the FROM lines."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        if name == "ARG" and not stages:
            key, _, value = rest.partition("=")
            arguments[key] = value
        elif name == "FROM":
            image, _, alias = rest.partition(" AS ")
            for key, value in arguments.items():
                image = image.replace(f"${{{key}}}", value)
            stages.append(Stage(image, alias, []))
        else:
            stages[-1] = Stage(
                stages[-1].image, stages[-1].name, [*stages[-1].instructions, Instruction(name, rest)]
            )
    return stages


def sent(path: str, ignore: str) -> bool:
    """Whether a path of the repository is sent to the engine under a .dockerignore: the last word counts."""
    keep = True
    parts = path.split("/")
    ways = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    for line in ignore.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        wanted = pattern.removeprefix("!").rstrip("/")
        if any(fnmatch.fnmatchcase(way, wanted.replace("**/", "*")) for way in ways):
            keep = pattern.startswith("!")
    return keep


def problems(text: str, ignore: str, root: Path) -> list[str]:
    """All that is wrong, as sentences. ``root`` is the repository."""
    stages = read(text)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    if len(stages) < 2:
        return ["one stage: what only building needs would be shipped"]
    final = stages[-1]
    return [
        *_python(stages, project["project"]["classifiers"]),
        *_copies(stages, ignore, root),
        *_packages(stages[0], project),
        *_install(stages[0], root),
        *_user(final),
        *_process(final, project["project"]),
    ]


def _python(stages: Sequence[Stage], classifiers: Sequence[str]) -> list[str]:
    found = []
    if len({stage.image for stage in stages}) > 1:
        found.append(
            "its stages start from different images: what was built for one may not run on the other"
        )
    for stage in stages:
        version = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", stage.image)
        if not version or f"Programming Language :: Python :: {version[1]}" not in classifiers:
            found.append(f"{stage.image} is no slim Python that pyproject.toml names")
    return found


def _copies(stages: Sequence[Stage], ignore: str, root: Path) -> list[str]:
    """Whatever is copied is there: in the repository and sent, or made by an earlier stage."""
    found = []
    names = [stage.name for stage in stages]
    for stage in stages:
        for copy in stage.all("COPY"):
            words = copy.words
            source = next((w.removeprefix("--from=") for w in words if w.startswith("--from=")), None)
            paths = [word for word in words[:-1] if not word.startswith("--")]
            if source is not None:
                made = " ".join(one.rest for one in stages[0].all("RUN"))
                found += [f"COPY --from={source}: no such stage"] if source not in names else []
                found += [f"{path} is made by no stage" for path in paths if path not in made]
                continue
            found += [f"COPY {path}: no such file" for path in paths if not (root / path).exists()]
            found += [f"COPY {path}: kept back by .dockerignore" for path in paths if not sent(path, ignore)]
    return found


def _packages(build: Stage, project: Mapping[str, object]) -> list[str]:
    """All that the wheel is made of is there when it is built."""
    copied = {word for copy in build.all("COPY") for word in copy.words[:-1]}
    setuptools = project["tool"]["setuptools"]  # type: ignore[index]
    wanted = {name.rstrip("*") for name in setuptools["packages"]["find"]["include"]}
    about = project["project"]
    wanted |= {"pyproject.toml", about["readme"], *about["license-files"]}  # type: ignore[index]
    return [f"the wheel is built without {name}" for name in sorted(wanted - copied)]


def _install(build: Stage, root: Path) -> list[str]:
    """Nothing is installed but what a lock with hashes names, and the wheel built here."""
    found = []
    runs = [command for run in build.all("RUN") for command in run.rest.split("&&")]
    copied = {word for copy in build.all("COPY") for word in copy.words[:-1]}
    for command in runs:
        words = shlex.split(command)
        if "install" in words and "pip" in words:
            lock = words[words.index("--requirement") + 1] if "--requirement" in words else ""
            locked = lock in copied or lock == "requirements/build.lock"
            if words[words.index("install") + 1 :] != ["--no-deps", "dist/*.whl"] and not (
                lock and locked and "--require-hashes" in words
            ):
                found.append(f"installs what no lock holds: {command.strip()}")
    if not any("--requirement requirements/groundswell.lock" in command for command in runs):
        found.append("requirements/groundswell.lock is not installed")
    if not re.search(r"^setuptools==", (root / "requirements/dev.lock").read_text(), re.MULTILINE):
        found.append("requirements/dev.lock has no setuptools to build with")
    return found


def _user(final: Stage) -> list[str]:
    """An unprivileged user by number, who owns the home, which is the one volume."""
    found = []
    user, _, group = final.one("USER").rest.partition(":")
    made = " ".join(run.rest for run in final.all("RUN"))
    home = final.environ.get("GROUNDSWELL_HOME", "")
    if not (user.isdecimal() and group.isdecimal() and int(user) >= 10000):
        found.append(f"USER {user}:{group}: a number of its own is wanted")
    for wanted in (
        f"groupadd --gid {group} ",
        f"useradd --uid {user} --gid {group} ",
        f"--home-dir {home} ",
        f"--owner={user} --group={group} --mode=0750 {home}",
    ):
        if wanted not in re.sub(r"\s+", " ", made) + " ":
            found.append(f"nothing makes `{wanted.strip()}`")
    if final.one("VOLUME").rest != json.dumps([home]) or final.one("WORKDIR").rest != home:
        found.append(f"the home {home} is not the volume and the working directory")
    if re.search(r"\b(apt-get|apk|pip|gcc)\b", made):
        found.append("the last stage installs programs")
    return found


def _process(final: Stage, about: Mapping[str, object]) -> list[str]:
    """The command, the ports, the variables, the check and the version are those of the code."""
    found = []
    entry, command = final.one("ENTRYPOINT").words, final.one("CMD").words
    if entry[:1] != list(about["scripts"]):  # type: ignore[call-overload]
        found.append(f"ENTRYPOINT {entry}: no such command")
    found += command_problems([*entry[1:], *command])
    _, wrong = settings_problems(
        {name: value for name, value in final.environ.items() if name.startswith("GROUNDSWELL_")}, None
    )
    found += wrong
    ports = {str(Settings().http.port + number) for number in range(len(ROLES))}
    if set(final.one("EXPOSE").words) != ports:
        found.append(f"EXPOSE {final.one('EXPOSE').rest}: the roles serve at {', '.join(sorted(ports))}")
    targets = [copy.words[-1] for copy in final.all("COPY")]
    check = re.search(r"CMD (\[.*\])", final.one("HEALTHCHECK").rest)
    if check is None or json.loads(check[1])[:1] != ["python"] or json.loads(check[1])[1] not in targets:
        found.append("HEALTHCHECK runs what is not there")
    if f"VERSION={about['version']}" not in [one.rest for one in final.all("ARG")]:
        found.append("the version is not that of pyproject.toml")
    places = [folder for folder in targets if f"{folder}/bin" in final.environ.get("PATH", "").split(":")]
    if not places or final.one("STOPSIGNAL").rest != "SIGTERM":
        found.append("the command is not in the PATH, or is not ended by SIGTERM")
    return found
