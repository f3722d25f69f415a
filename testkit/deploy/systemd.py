"""The unit of systemd held against the code and against the files that are installed beside it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pipeline.app import supervisor
from testkit.deploy.container import command_problems, settings_problems

CONFIG_STATUS = "2"
"""What `groundswell` answers for a wrong setting; nothing but a person mends that."""

Unit = dict[str, list[str]]
"""Key to its values in order, over all sections; a key may stand there more than once."""


def read_unit(text: str) -> Unit:
    """The keys of a unit. Comments are left out."""
    unit: Unit = {}
    for line in text.splitlines():
        if re.match(r"[A-Z]\w*=", line):
            key, _, value = line.partition("=")
            unit.setdefault(key, []).append(value)
    return unit


def read_environment(text: str) -> dict[str, str]:
    """The variables of an EnvironmentFile; those that are commented out, too, for they are examples."""
    return dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", text, re.MULTILINE))


def problems(unit: Unit, environment: dict[str, str], sysusers: str, scratch: Path) -> list[str]:
    """All that is wrong, as sentences. ``scratch`` has `etc`, in place of /etc/groundswell."""
    return [
        *_commands(unit, environment),
        *_settings(unit, environment, scratch),
        *_lifetime(unit),
        *_user(unit, sysusers),
    ]


def _one(unit: Unit, key: str) -> str:
    return unit.get(key, [""])[-1]


def _commands(unit: Unit, environment: dict[str, str]) -> list[str]:
    program, *words = shlex.split(_one(unit, "ExecStart"))
    found = [] if program.endswith("/bin/groundswell") else [f"{program}: no such command"]
    names = [word.removeprefix("$") for word in words if word.startswith("$")]
    found += [
        f"${name} is not explained in the environment file" for name in names if name not in environment
    ]
    for roles in ("", *(environment.get(name, "") for name in names)):
        full = [word for word in words if not word.startswith("$")] + roles.split()
        found += command_problems(full)
    return found


def _settings(unit: Unit, environment: dict[str, str], scratch: Path) -> list[str]:
    """What the service's own variables and those of the example give as settings."""
    given = dict(word.split("=", 1) for word in unit.get("Environment", ()))
    found = []
    credentials = scratch / "credentials"
    credentials.mkdir(exist_ok=True)
    for credential in unit.get("LoadCredential", ()):
        name, _, source = credential.partition(":")
        (credentials / name).write_text("a password", encoding="ascii")
        if not source.startswith("/etc/groundswell/secrets/"):
            found.append(f"the secret {source} does not lie with the others")
    if _one(unit, "StateDirectory") != Path(given.get("GROUNDSWELL_HOME", "")).name:
        found.append("the home is not the state directory, the only place that may be written")
    variables = {**environment, **given}
    environ = {
        name: value.replace("%d", str(credentials)).replace("/etc/groundswell", str(scratch / "etc"))
        for name, value in variables.items()
        if name.startswith("GROUNDSWELL_")
    }
    named = environ.get("GROUNDSWELL_CONFIG")
    settings, wrong = settings_problems(environ, Path(named) if named else None)
    if settings is not None and not settings.elasticsearch.password:
        found.append("signs in to Elasticsearch with nothing")
    return found + wrong


def _lifetime(unit: Unit) -> list[str]:
    """It comes back by itself, but not with a wrong setting, and has its time to end."""
    found = []
    if _one(unit, "Restart") != "on-failure" or _one(unit, "RestartPreventExitStatus") != CONFIG_STATUS:
        found.append("is not started again, or is for ever with a wrong setting")
    stop = re.fullmatch(r"(\d+)s", _one(unit, "TimeoutStopSec"))
    if not stop or int(stop[1]) < supervisor.STOP_SECONDS + 10 or _one(unit, "KillMode") != "mixed":
        found.append("is killed before its roles had their time to end")
    if not _one(unit, "MemoryMax"):
        found.append("no MemoryMax")
    return found


def _user(unit: Unit, sysusers: str) -> list[str]:
    users = re.findall(r"^u (\S+) - \".*\" (\S+)$", sysusers, re.MULTILINE)
    home = next((w.split("=")[1] for w in unit["Environment"] if w.startswith("GROUNDSWELL_HOME=")), "")
    wanted = (_one(unit, "User"), home)
    return [] if users == [wanted] else [f"nobody makes the user {wanted[0]} with the home {wanted[1]}"]
