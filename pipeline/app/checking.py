"""What ``groundswell check`` looks at: every file that the settings name, and the tests of the rules.

Nothing is started and no server is asked. Problems are gathered before any is told, as far as one
does not hide another.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from enrichers.route import SETTINGS as ROUTE_SETTINGS
from enrichers.route import RouteEnricher, read_router
from pipeline.app.registry import build_steps, load, read_table
from pipeline.core.configuration import convert_table
from pipeline.core.errors import ConfigError
from pipeline.core.process import Chain
from pipeline.core.protocols import Enricher
from pipeline.core.routing import Router
from pipeline.core.rule_tests import Result, read_rule_tests, run_rule_tests
from pipeline.core.settings import Settings

ROUTE = "route"


class Looked(Struct, frozen=True):
    """One part that was looked at. ``problems`` are whole sentences, none where all is well."""

    part: str
    name: str
    detail: str = ""
    problems: tuple[str, ...] = ()


def look_at(settings: Settings, home: Path | None = None) -> list[Looked]:
    """Connectors' tables, enrichers with the files that they read, the rules and their tests.

    ``home`` is the installation's folder, for enrichers that read what is kept there.
    A fault in the file of rules is told of the enrichers and of the rules in the same words.
    """
    looked = [_connector(settings, name) for name in settings.connectors]
    looked.append(_enrichers(settings, home))
    try:
        path = rules_file(settings)
    except ConfigError as error:
        return [*looked, Looked("rules", ROUTE, "", (str(error),))]
    if path is None:
        return looked
    unread = "" if ROUTE in settings.enrich.steps else "not used: `route` is not among enrich.steps"
    return [*looked, *look_at_rules(path, unread)]


def look_at_rules(path: Path, note: str = "") -> list[Looked]:
    """A file of rules and the tests beside it; ``note`` stands in place of the number of rules."""
    try:
        router = read_router(path)
    except ConfigError as error:
        return [Looked("rules", str(path), note, (str(error),))]
    counted = f"rules: {len(router.rules)}, queues: {len(router.queues)}, version {router.version}"
    return [Looked("rules", str(path), note or counted), _rule_tests(path, router)]


def rules_file(settings: Settings) -> Path | None:
    """The file of rules that ``[enrichers.route]`` names, if it names one. Raises ConfigError."""
    return convert_table(ROUTE_SETTINGS, settings.enrichers.get(ROUTE, {}), f"enrichers.{ROUTE}").file


def tests_file(path: Path) -> Path:
    """Where the tests of a file of rules stand: `routing_test.toml` beside `routing.toml`."""
    return path.with_name(f"{path.stem}_test.toml")


def _connector(settings: Settings, name: str) -> Looked:
    kind = settings.connectors[name].get("kind")
    try:
        read_table(load("connectors", str(kind)), settings.connectors, "connectors", name)
    except ConfigError as error:
        return Looked("connector", name, str(kind), (str(error),))
    return Looked("connector", name, str(kind))


def _enrichers(settings: Settings, home: Path | None) -> Looked:
    """The chain, and the tables of enrichers that are no steps of it."""
    built, problems = build_steps(settings, home)
    if not problems:
        try:
            Chain(built)
        except ConfigError as error:
            problems = [*str(error).splitlines(), *_readers(built)]
    for name in settings.enrichers:
        if name not in settings.enrich.steps:
            try:
                read_table(load("enrichers", name), settings.enrichers, "enrichers", name)
            except ConfigError as error:
                # One of no enricher at all was told by build_steps.
                if "there is no enricher" not in str(error):
                    problems.append(str(error))
    return Looked("enrichers", ", ".join(settings.enrich.steps), "", tuple(problems))


def _readers(built: list[tuple[str, Enricher]]) -> list[str]:
    """Which rules are to blame for the columns that nobody makes."""
    made = {"post", "observed", *(enricher.assigns for _, enricher in built)}
    return [
        f"`{column}` is read by {_listed(enricher.router.readers(column))}"
        for _, enricher in built
        if isinstance(enricher, RouteEnricher) and enricher.router
        for column in enricher.requires
        if column not in made
    ]


def _listed(rules: list[str]) -> str:
    names = ", ".join(f"`{rule}`" for rule in rules[:5]) + (" and others" if len(rules) > 5 else "")
    return f"the rules {names}" if len(rules) > 1 else f"the rule {names}"


def _rule_tests(path: Path, router: Router) -> Looked:
    file = tests_file(path)
    if not file.exists():
        return Looked("rule tests", str(file), "there are none: docs/routing.md shows how to write them")
    try:
        tests = read_rule_tests(file.read_bytes(), f"file of rule tests {file}")
    except OSError as error:
        return Looked("rule tests", str(file), "", (f"{file} cannot be read: {error.strerror}",))
    except ConfigError as error:
        return Looked("rule tests", str(file), "", (str(error),))
    results = run_rule_tests(router, tests)
    failed = tuple(f"{file}: {_failure(result)}" for result in results if not result.passed)
    return Looked("rule tests", str(file), f"{len(results) - len(failed)} of {len(results)} passed", failed)


def _failure(result: Result) -> str:
    """A failed test with the way that the rules took."""
    lines = [f'test "{result.name}" failed', f"  expected: {result.expected}", f"  got:      {result.got}"]
    for step in result.way.steps:
        verdict = "held" if step.held else "did not hold"
        goes = f", so it goes to `{step.queue}`" if step.queue else ""
        name = f"rule `{step.rule}` {verdict}{goes}: " if step.rule else ""
        lines.append(f"    {name}{'; '.join(step.reasons)}".rstrip(": "))
    return "\n  ".join(lines)
