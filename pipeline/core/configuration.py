"""The strict reading of settings: a TOML file, then the environment over it, into frozen structs.

All problems are found before any is raised, each with its path. What a person meant to set and did
not (a typo in a key, in a section, in a variable) is a problem, never silence. A secret may come
only from a variable or from a file of its own, and no message holds a value that could be one.

Rules of paths: in the settings file a relative path starts at that file's folder, in a variable at
the working directory. Knows nothing of command lines, of homes and of servers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pipeline.core.conversion import Reading, quoted_key
from pipeline.core.errors import raise_problems
from pipeline.core.schema import PREFIX, settings_of, suggestion, variable_of
from pipeline.core.settings import RESERVED, EnrichSettings, Settings, Table, Tables
from pipeline.core.toml_text import read_toml

T = TypeVar("T", bound=Struct)

_PART_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def read_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of the file at ``path``, or the defaults where it is None, with ``environ`` over them.

    Every step of `enrich.steps` has a table in `enrichers`, an empty one if the file has none. Raises
    ConfigError that names the file and lists every problem, one a line.
    """
    origin = f"settings file {path}" if path else "settings from the environment"
    data = read_toml(path, origin, "name another with --config or GROUNDSWELL_CONFIG") if path else {}
    reading = Reading(environ, (path.parent if path else Path()).absolute())
    settings = reading.struct(Settings, data, "", PREFIX)
    steps = _steps(data, environ)
    owners = _owners(
        _names(data, "connectors") + _names(data, "enrichers") + [f"enrichers.{one}" for one in steps or ()]
    )
    reading.problems += _part_problems(data, owners, environ)
    reading.problems += _unknown_variables(environ, owners.values(), judge_enrichers=steps is not None)
    raise_problems(reading.problems, origin)
    assert settings is not None  # otherwise there were problems
    tables: dict[str, Tables] = {"connectors": {}, "enrichers": {}}
    for part, variable in owners.items():
        group, _, name = part.partition(".")
        content = dict(getattr(settings, group).get(name, {}))
        if group == "connectors" and f"{variable}_KIND" in environ:
            content["kind"] = environ[f"{variable}_KIND"]
        tables[group][name] = Table(content, origin, reading.folder, _siblings(variable, owners.values()))
    return msgspec.structs.replace(settings, **tables)


def convert_table(
    kind: type[T], data: Mapping[str, Any], path: str, *, environ: Mapping[str, str] | None = None
) -> T:
    """A part's own table, such as `settings.connectors["x"]` at path `connectors.x`, as its SETTINGS.

    Variables `GROUNDSWELL_CONNECTORS_X_KEY` in ``environ`` (the process's own where it is None) win over
    the table. The `kind` of a connector is left out unless the struct has such a field. Relative paths
    start where the settings file lies. Raises ConfigError with every problem.
    """
    table = data if isinstance(data, Table) else Table(data)
    variable = _variable(path)
    others = tuple(f"{sibling}_" for sibling in table.siblings)
    ours = {
        name: text
        for name, text in (os.environ if environ is None else environ).items()
        if name.startswith(f"{variable}_") and not name.startswith(others)
    }
    reading = Reading(ours, table.folder or Path.cwd())
    content = dict(table)
    if path.startswith("connectors.") and "kind" not in _keys(kind):
        content.pop("kind", None)
        reading.used.add(f"{variable}_KIND")
    settings = reading.struct(kind, content, path, variable)
    known = _variables(kind, variable)
    for name in sorted(ours.keys() - reading.used - set(known)):
        reading.problem(name, f"unknown variable{suggestion(name, known)}")
    raise_problems(reading.problems, table.origin)
    assert settings is not None  # otherwise there were problems
    return settings


def _steps(data: dict[str, Any], environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """The enrichers that run; None where that section is at fault, as the main walk reports."""
    enrich = Reading(environ, Path()).struct(
        EnrichSettings, data.get("enrich", {}), "enrich", _variable("enrich")
    )
    return enrich.steps if enrich else None


def _names(data: dict[str, Any], group: str) -> list[str]:
    """The paths of all parts of a group that the file has a table for."""
    tables = data.get(group)
    return [f"{group}.{name}" for name in tables] if isinstance(tables, dict) else []


def _variable(path: str) -> str:
    variable = PREFIX
    for name in path.split("."):
        variable = variable_of(variable, name)
    return variable


def _owners(parts: Iterable[str]) -> dict[str, str]:
    """The beginning of its variables' names for each part that has a path."""
    return {part: _variable(part) for part in parts}


def _siblings(variable: str, variables: Iterable[str]) -> tuple[str, ...]:
    """Those that begin with ours and are longer: what starts with them is not ours (`x` beside `x_eu`)."""
    return tuple(sorted(other for other in variables if other.startswith(f"{variable}_")))


def _part_problems(data: dict[str, Any], owners: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    """Names that cannot be told apart in variables, and connectors that do not say their kind."""
    problems = []
    seen: dict[str, str] = {}
    for part, variable in owners.items():
        group, _, name = part.partition(".")
        at = f"{group}.{quoted_key(name)}"
        if not _PART_NAME.fullmatch(name):
            problems.append(f"{at}: a name has at most 64 lower-case letters, digits, `_` and `-`")
        elif variable in seen:
            problems.append(f"{at}: shares its variables' names with {seen[variable]}: rename one of them")
        seen.setdefault(variable, at)
        table = data.get(group, {}).get(name, {}) if group == "connectors" else None
        if isinstance(table, dict):
            given = environ.get(f"{variable}_KIND", table.get("kind", ""))
            if not isinstance(given, str) or not given:
                problems.append(f'{at}.kind: missing, expected the name of a connector, such as "reddit"')
    return problems


def _unknown_variables(
    environ: Mapping[str, str], parts: Iterable[str], *, judge_enrichers: bool
) -> list[str]:
    """Variables with our prefix that nobody reads; the keys of parts are left to convert_table."""
    known = [*_variables(Settings, PREFIX), *RESERVED]
    owned = tuple(f"{part}_" for part in parts)
    problems = []
    for name in sorted(environ):
        if not name.startswith(f"{PREFIX}_") or name in known or name.startswith(owned):
            continue
        for group in ("connectors", "enrichers"):
            if name.startswith(f"{PREFIX}_{group.upper()}_"):
                if group == "connectors" or judge_enrichers:
                    problems.append(f"{name}: belongs to no table [{group}.NAME] of the settings file")
                break
        else:
            problems.append(f"{name}: unknown variable{suggestion(name, known)}")
    return problems


def _variables(kind: type[Struct], variable: str) -> list[str]:
    """The names of all variables that a struct's keys can be set by."""
    names = []
    for setting in settings_of(kind, "", variable):
        names += [setting.variable, f"{setting.variable}_FILE"] if setting.secret else [setting.variable]
    return names


def _keys(kind: type[Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]
