"""Finds parts by the names of their modules: ``kind = "reddit"`` is ``connectors/reddit.py``.

The only place that imports a module by a name from the settings, and so the one that makes sure that
the name is one of a part. Modules whose names begin with ``_`` are pieces of parts.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

from pipeline.app import logs
from pipeline.core.configuration import convert_table
from pipeline.core.errors import ConfigError
from pipeline.core.process import Chain
from pipeline.core.protocols import Connector, Enricher
from pipeline.core.schema import suggestion
from pipeline.core.settings import Settings

Family = Literal["connectors", "enrichers"]
MEMORIES = "connectors"
"""The folder of the home below which connectors keep what they remember, each in one of its name."""
_ONE = {"connectors": "connector", "enrichers": "enricher"}


def known(family: Family) -> list[str]:
    """The kinds of parts that are installed, sorted."""
    package = import_module(family)
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_")


def load(family: Family, kind: str) -> ModuleType:
    """The module of a part, with its ``SETTINGS`` and ``build``.

    Raises ConfigError with the nearest known kind, or all of them, where there is none of that name, and
    where a package that it needs is not installed.
    """
    kinds = known(family)
    if kind not in kinds:
        raise ConfigError(f"there is no {_ONE[family]} `{kind}`{_hint(kind, kinds)}")
    try:
        return import_module(f"{family}.{kind}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the {_ONE[family]} `{kind}` needs the package `{error.name}`: install it"
        ) from error


def _hint(word: str, kinds: list[str]) -> str:
    """The nearest kinds, if one is near, and all of them."""
    hint = suggestion(word, kinds)
    return hint if "known are" in hint else f"{hint} known are {', '.join(f'`{kind}`' for kind in kinds)}"


def build_connector(name: str, table: Mapping[str, Any], home: Path | None = None) -> Connector:
    """The connector of the table ``[connectors.NAME]``; ConfigError with every problem of the table.

    A connector that must remember more than a cursor holds has a folder of its own below ``home``, the
    installation's; without one it does what it can without.
    """
    module, settings = _connector(name, table)
    if home is not None and hasattr(module, "at_home"):
        settings = module.at_home(settings, home / MEMORIES / name)
    return cast(Connector, module.build(settings))


def check_connectors(tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Reads the tables of all connectors and builds none. ConfigError with the problems of all of them."""
    problems = []
    for name, table in sorted(tables.items()):
        try:
            _connector(name, table)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))


def _connector(name: str, table: Mapping[str, Any]) -> tuple[ModuleType, Any]:
    """The connector's module and its settings."""
    path = f"connectors.{name}"
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise ConfigError(f"{path}.kind: missing, expected one of {', '.join(known('connectors'))}")
    try:
        module = load("connectors", kind)
    except ConfigError as error:
        raise ConfigError(f"{path}.kind: {error}") from None
    settings = convert_table(module.SETTINGS, table, path)
    logs.hide(settings)
    return module, settings


def build_chain(settings: Settings, home: Path | None = None) -> Chain:
    """The chain of ``enrich.steps``, each with its own table. ConfigError with the problems of all steps.

    ``home`` is the installation's folder, for steps that read what is kept there; without it they find
    nothing.
    """
    built, problems = build_steps(settings, home)
    if problems:
        raise ConfigError("\n".join(problems))
    return Chain(built)


def build_steps(settings: Settings, home: Path | None = None) -> tuple[list[tuple[str, Enricher]], list[str]]:
    """The enrichers of ``enrich.steps`` by name, as far as they can be built, and what hinders the rest.

    A table ``[enrichers.NAME]`` of an enricher that is not among the steps is left alone, one of no
    enricher at all is a problem.
    """
    problems: list[str] = []
    built: list[tuple[str, Enricher]] = []
    kinds = known("enrichers")
    for name in settings.enrichers:
        if name not in kinds and name not in settings.enrich.steps:
            problems.append(f"enrichers.{name}: there is no such enricher{_hint(name, kinds)}")
    for position, step in enumerate(settings.enrich.steps):
        try:
            module = load("enrichers", step)
        except ConfigError as error:
            problems.append(f"enrich.steps[{position}]: {error}")
            continue
        try:
            table = read_table(module, settings.enrichers, "enrichers", step)
            if home is not None and hasattr(module, "at_home"):
                table = module.at_home(table, home)
            built.append((step, module.build(table)))
        except ConfigError as error:
            problems.append(str(error))
    return built, problems


def read_table(module: ModuleType, tables: Mapping[str, Mapping[str, Any]], family: Family, name: str) -> Any:
    """The SETTINGS of a part from its table, if it has one; ConfigError with every problem."""
    settings = convert_table(module.SETTINGS, tables.get(name, {}), f"{family}.{name}")
    logs.hide(settings)
    return settings
