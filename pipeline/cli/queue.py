"""``groundswell queue``: what waits for support, and the work on it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.core import case_work
from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.app.cases.desk import Desk
    from pipeline.core.case import Case

SHOWN = 25
"""Cases of a table unless --limit says otherwise; exports are whole."""


class _Verbs(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Takes a word that is no verb for the name of a queue: ``queue NAME`` is ``queue list NAME``."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        if values[0] not in self._name_parser_map:
            values = ["list", *values]
        super().__call__(parser, namespace, values, option_string)


class _AnyWord(dict[str, argparse.ArgumentParser]):
    """The verbs, which let every other word pass: see `_Verbs`."""

    def __contains__(self, _: object) -> bool:
        return True


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command and its verbs."""
    command = subparsers.add_parser(
        "queue",
        help="what waits for support, and the work on it",
        usage="groundswell queue [NAME] [--follow] [--limit N] [--all-states] [--format FORMAT]\n"
        "       groundswell queue take|done|release|move|wait|note|show CASE …",
    )
    _listing(command)
    command.set_defaults(run=run_list, name="")
    verbs = command.add_subparsers(
        action=_Verbs, dest="verb", metavar="NAME or a verb", prog="groundswell queue"
    )
    # What stands before NAME counts as well as what stands behind it.
    listing = verbs.add_parser("list", help="what waits", argument_default=argparse.SUPPRESS)
    listing.add_argument("name", nargs="?", metavar="NAME", help="of this queue (default: of all)")
    _listing(listing, default=argparse.SUPPRESS)
    show = verbs.add_parser("show", help="one case with its posts and its history")
    show.add_argument("case", metavar="CASE", help="its id, the beginning of it, or the id of a post")
    show.set_defaults(run=run_show)
    for name, help, run in (
        ("take", "make a case your own", run_take),
        ("done", "a case is dealt with", run_done),
        ("release", "give a case back to its queue", run_release),
        ("wait", "a case waits for its author", run_wait),
    ):
        _note(_verb(verbs, name, help, run))
    move = _verb(verbs, "move", "put a case into another queue", run_move)
    move.add_argument("queue", metavar="QUEUE", help="where it belongs")
    move.add_argument("--priority", type=_priority, metavar="N", help="1 to 9 (default: the queue's)")
    _note(move)
    note = _verb(verbs, "note", "add a note to a case", run_note)
    note.add_argument("note", metavar="TEXT", help="what is to be remembered")
    verbs.choices = _AnyWord(verbs._name_parser_map)


def _listing(command: argparse.ArgumentParser, default: object = None) -> None:
    def of(value: object) -> object:
        return argparse.SUPPRESS if default is argparse.SUPPRESS else value

    option = command.add_argument
    most = f"at most so many (default: {SHOWN} in a table, else all)"
    option("--follow", action="store_true", default=of(False), help="go on, and tell what changes")
    option("--limit", type=int, metavar="N", default=of(None), help=most)
    option("--all-states", action="store_true", default=of(False), help="resolved cases too")
    option("--format", choices=("table", "json", "csv"), default=of("table"))


def _verb(
    verbs: Any, name: str, help: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=help)
    verb.add_argument("case", metavar="CASE", help="its id, the beginning of it, or the id of a post")
    verb.add_argument("--as", dest="person", metavar="NAME", help="who you are (default: your login)")
    verb.set_defaults(run=run)
    return verb


def _note(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--note", default="", metavar="TEXT", help="a word for the history")


def _priority(written: str) -> int:
    if written not in tuple("123456789"):
        raise argparse.ArgumentTypeError(f"`{written}` is no priority: 1 is the most pressing, 9 the least")
    return int(written)


def run_list(args: argparse.Namespace) -> int:
    """What waits, by priority and due time; with --follow also what comes."""
    from pipeline.cli.queue_page import Page

    if args.limit is not None and args.limit < 0:
        raise ConfigError(f"--limit {args.limit} is less than nothing: leave it out for all")
    desk = _desk(args)
    try:
        limit = SHOWN if args.limit is None and args.format == "table" else args.limit
        page = Page(desk, args.name or "", args.format, sys.stdout)
        page.show(limit=limit, all_states=args.all_states, follow=args.follow)
        if args.follow:
            page.follow()
    finally:
        desk.close()
    return 0


def run_show(args: argparse.Namespace) -> int:
    """All that is known of one case."""
    from pipeline.cli.queue_page import show

    desk = _desk(args)
    try:
        show(desk, desk.find(args.case), sys.stdout)
    finally:
        desk.close()
    return 0


def run_take(args: argparse.Namespace) -> int:
    """Of two who take a case at once, one gets it; the other is told who, and gets status 1."""
    return _work(args, case_work.take)


def run_done(args: argparse.Namespace) -> int:
    """Resolves a case."""
    return _work(args, case_work.done)


def run_release(args: argparse.Namespace) -> int:
    """Gives a case back."""
    return _work(args, case_work.release)


def run_wait(args: argparse.Namespace) -> int:
    """Lets a case wait for its author."""
    return _work(args, case_work.wait)


def run_note(args: argparse.Namespace) -> int:
    """Adds a note."""
    if not args.note.strip():
        raise ConfigError("the note is empty: say what is to be remembered")
    return _work(args, case_work.add_note)


def run_move(args: argparse.Namespace) -> int:
    """Puts a case into another queue of the rules."""
    desk = _desk(args)
    try:
        queues = desk.queues()
    finally:
        desk.close()
    if not queues:
        raise ConfigError("no rules name any queue: set `file` of [enrichers.route] in the settings")

    def move(case: Case, by: str, at: datetime, note: str) -> Case:
        return case_work.move(case, args.queue, by, at, note, queues=queues, priority=args.priority)

    return _work(args, move)


def _work(args: argparse.Namespace, act: Callable[[Case, str, datetime, str], Case]) -> int:
    from pipeline.cli.queue_page import outcome

    by = case_work.person(args.person if args.person is not None else _whoever())
    note = case_work.remark(args.note)
    desk = _desk(args)
    try:
        case, changed = desk.change(args.case, lambda case: act(case, by, datetime.now(UTC), note))
    finally:
        desk.close()
    print(outcome(case, changed, datetime.now(UTC)))
    return 0


def _whoever() -> str:
    import getpass

    if name := os.environ.get("GROUNDSWELL_AS", ""):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise ConfigError("nobody is logged in here: say with --as who you are") from None


def _desk(args: argparse.Namespace) -> Desk:
    from pipeline.app import logs
    from pipeline.app.cases.desk import Desk
    from pipeline.app.configuration import home_for, settings_for

    settings = settings_for(args)
    logs.set_up("error")
    return Desk(settings, home_for(args))
