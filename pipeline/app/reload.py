"""Takes up changed files of rules, brands and the like while the role enrich goes on.

The new chain is built beside the old one, in a thread of its own, and held against all that
`groundswell check` asks of it; then it takes the old one's place between two batches, whole. What is not
valid changes nothing: that is told, and what was read before goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from msgspec.structs import asdict

from pipeline.app import garbage
from pipeline.app.cases.notices import queues_of
from pipeline.app.checking import ROUTE, look_at_rules, rules_file, tests_file
from pipeline.app.health import Edition
from pipeline.app.registry import build_chain, load
from pipeline.app.site import Site, now
from pipeline.app.touched import Marks, files_of, marks
from pipeline.core.errors import ConfigError, GroundswellError, RetryableError, unforeseen
from pipeline.core.metrics import FILES_EDITION, FILES_VALID
from pipeline.core.process import Chain
from pipeline.core.reenrichment import Choice, Wish
from pipeline.core.settings import Settings

log = logging.getLogger("groundswell.reload")

_TICK_SECONDS = 0.5
# Editors write in several steps; what was written has to rest for so long.
_REST_SECONDS = 1.0
# After a failure that waiting may mend: Kafka does not make the topic of a new queue now.
_AGAIN_SECONDS = 10.0
_LONGEST_REASON = 400
_TAKEN_UP = ("enrich", "enrichers")
"""Sections of the settings that are taken up here; connectors see to their own."""


class Reloader:
    """One a process. Make it before the first chain is built, so that no change falls between."""

    def __init__(self, site: Site, needs_restart: str) -> None:
        """``needs_restart`` is a step that cannot be added or taken out while the role runs."""
        self._site = site
        self._needs_restart = needs_restart
        self._settings = site.settings
        self._tried = self._look()
        self._told = threading.Event()
        self._differing: set[str] = set()
        self._again = False
        self._number = 0

    def start(
        self,
        chain: Chain,
        adopt: Callable[[Chain], Future[Chain]],
        prepare: Callable[[Sequence[str]], object],
    ) -> None:
        """Begins to look on; ends with the site. ``adopt`` puts a chain in the place of the present one,
        which is the result; ``prepare`` makes what the named queues need, and raises where it cannot."""
        self._chain = chain
        self._adopt = adopt
        self._prepare = prepare
        self._site.when_told.append(self._told.set)
        self._note_edition()
        threading.Thread(target=self._watch, name="groundswell-reload", daemon=True).start()

    def _look(self) -> Marks:
        return marks(files_read(self._settings, self._site.file))

    def _watch(self) -> None:
        seen, since, due = self._tried, 0.0, 0.0
        while not self._site.ending.is_set():
            told = self._told.wait(_TICK_SECONDS)
            at, every = time.monotonic(), self._settings.enrich.reload_seconds
            if told:
                self._told.clear()
                self._reload()
                due = at + _AGAIN_SECONDS
                continue
            if self._again and at >= due:
                due = at + _AGAIN_SECONDS
                self._reload()
            if not every or at < since + every:
                continue
            found = self._look()
            if found != seen:
                seen, since = found, at + _REST_SECONDS - every
            elif found != self._tried:
                self._reload()
                seen, since, due = self._tried, at, at + _AGAIN_SECONDS

    def _reload(self) -> None:
        """Tries what the files say now; never raises."""
        if self._site.ending.is_set():
            return
        self._again = False
        self._tried = self._look()
        try:
            self._take_up()
        except GroundswellError as error:
            self._again = isinstance(error, RetryableError)
            self._refuse(str(error))
        except Exception as error:
            log.exception("the changed files cannot be taken up")
            self._refuse(unforeseen(error))

    def _take_up(self) -> None:
        before = self._tried[:1] if self._site.file else ()
        settings = self._site.reread()
        # From now on the files that are named now are looked at, also if they are what is wrong. The mark of
        # the settings file itself is that of before it was read.
        self._settings = settings
        self._tried = before + self._look()[len(before) :]
        self._tell_of_the_rest(settings)
        step = self._needs_restart
        if (step in settings.enrich.steps) != (step in self._site.settings.enrich.steps):
            raise ConfigError(f"`{step}` was put into enrich.steps or taken out: restart the role enrich")
        chain = build_chain(settings, self._site.home)
        _demand_passing(settings)
        if Choice(Wish(), chain).is_current(self._chain.versions):
            log.info("the files were written, and say what they said before")
        else:
            self._prepare(queues_of(chain))
            old = self._adopt(chain).result()
            changed = _changed(old, chain)
            self._chain = chain
            _close(old)
            del old
            garbage.settle()
            self._number += 1
            log.info("changed files are in use, with new versions of %s", changed)
        self._note_edition()

    def _tell_of_the_rest(self, settings: Settings) -> None:
        """One line on sections that were changed, and hold after a restart only."""
        before, after = asdict(self._site.settings), asdict(settings)
        differing = {
            name for name in before if name not in (*_TAKEN_UP, "connectors") and before[name] != after[name]
        }
        if differing - self._differing:
            log.warning("what was changed in [%s] holds after a restart", "], [".join(sorted(differing)))
        self._differing = differing

    def _note_edition(self, problem: str = "") -> None:
        health = self._site.health
        if problem and health.edition is not None:
            known = health.edition
            health.edition = Edition(known.number, known.since, known.versions, problem)
        else:
            health.edition = Edition(self._number + 1, now(), self._chain.versions)
        health.meters.set(FILES_EDITION, self._number + 1, health.role)
        health.meters.set(FILES_VALID, not problem, health.role)

    def _refuse(self, reason: str) -> None:
        lines = [" ".join(line.split()) for line in reason.splitlines() if line.strip()]
        told = "; ".join(lines)
        if len(told) > _LONGEST_REASON:
            told = f"{told[:_LONGEST_REASON]} …, see `groundswell check`"
        log.error("the changed files are not used, what was read before goes on: %s", told)
        self._note_edition(told)


def files_read(settings: Settings, file: Path | None) -> list[Path]:
    """The settings file, all files that the steps name, and the tests of the rules."""
    found = [file] if file else []
    for step in settings.enrich.steps:
        table = settings.enrichers.get(step, {})
        try:
            kind = load("enrichers", step).SETTINGS
        except ConfigError:
            continue
        named = files_of(kind, step, table, None, family="enrichers")
        found += named
        if step == ROUTE:
            found += map(tests_file, named)
    return list(dict.fromkeys(found))


def _demand_passing(settings: Settings) -> None:
    """Raises ConfigError where the tests of the rules, if there are any, do not pass."""
    path = rules_file(settings) if ROUTE in settings.enrich.steps else None
    if path is None:
        return
    problems = [problem for looked in look_at_rules(path) for problem in looked.problems]
    if problems:
        raise ConfigError("\n".join(problems))


def _changed(old: Chain, new: Chain) -> str:
    before, after = old.versions, new.versions
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"`{name}` ({after.get(name, 'no longer a step')})" for name in names) or "no step"


def _close(chain: Chain) -> None:
    """Lets the steps of a chain go of what they hold open."""
    for _, step in chain.steps:
        if close := getattr(step, "close", None):
            close()
