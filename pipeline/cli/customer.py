"""``groundswell customer``: the company's books of customers: import, remove, show, find."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from pipeline.cli.log_option import add_log_format, set_up_logs
from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from pipeline.app.brokers import Brokers
    from pipeline.app.customers.file import CustomerFile, Summary
    from pipeline.app.customers.importing import Finding, Import
    from pipeline.core.settings import Settings

SOME_REFUSED = 3
"""Exit status when the rest is done, and some rows or ids were refused."""

SHOWN = 20
FORMATS = ("table", "json", "csv")
FOUND = ("id", "name", "emails", "phones", "accounts", "segment", "value", "since", "consent")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command and its verbs."""
    command = subparsers.add_parser("customer", help="the company's books of customers")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="import|remove|show|find")
    _add_import(verbs)
    remove = verbs.add_parser("remove", help="take customers out of the books")
    remove.add_argument("ids", nargs="+", metavar="ID")
    add_log_format(remove)
    remove.set_defaults(run=run_remove)
    show = verbs.add_parser("show", help="one customer, with everything known")
    show.add_argument("id", metavar="ID", help="the customer's id, as the books have it")
    show.add_argument("--format", choices=("table", "json"), default="table")
    show.set_defaults(run=run_show)
    find = verbs.add_parser("find", help="customers by name, address, number, handle or id")
    find.add_argument("text", metavar="TEXT", help="what you know of the customer")
    most = f"at most so many (default: {SHOWN} in a table, else all)"
    find.add_argument("--limit", type=int, metavar="N", help=most)
    find.add_argument("--format", choices=FORMATS, default="table")
    find.set_defaults(run=run_find)


def _add_import(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = verbs.add_parser(
        "import",
        help="take in a file of customers",
        description="CSV with a header, or JSON Lines. Only what is new or changed is sent, so the same file"
        " again does nothing. What is wrong is listed, and the rest goes in.",
    )
    option = command.add_argument
    option("file", metavar="FILE", help="CSV or JSON Lines, also gzip or zstd; - for standard input")
    option("--replace", action="store_true", help="remove all customers whom the file does not name")
    option("--yes", action="store_true", help="replace also where that looks like an accident")
    option("--dry-run", action="store_true", help="change nothing, say what would change")
    option("--format", choices=FORMATS, default="table", help="of the list of what is wrong")
    add_log_format(command)
    command.set_defaults(run=run_import)


def run_import(args: argparse.Namespace) -> int:
    """Takes in a file. 0, or 3 where rows were refused.

    Raises ConfigError for a file that cannot be used, FatalError on a damaged archive, RetryableError
    where Kafka is away.
    """
    from pipeline.app.configuration import home_for
    from pipeline.app.customers.file import CustomerFile
    from pipeline.app.customers.importing import Import, held
    from pipeline.app.customers.region import region_of
    from pipeline.app.customers.source import Source
    from pipeline.embedded.locks import locked

    if args.yes and not args.replace:
        raise ConfigError("--yes is for --replace: add it, or leave --yes out")
    settings, brokers, topic = _place(args, create=not args.dry_run)
    began = time.monotonic()
    lock = home_for(args) / "customer-import.lock"
    with closing(Source(args.file)) as source, locked(lock, waiting=_wait):
        file = CustomerFile(source, region_of(settings))
        with closing(Import(file, held(brokers, topic), replace=args.replace)) as work:
            _list(work.findings(), args.format)
            if not args.yes:
                work.check()
            if not args.dry_run:
                _send(work, brokers, topic)
            seconds = time.monotonic() - began
            _sum_up(work.summary, file, source.encoding.words, seconds, dry=args.dry_run)
            return SOME_REFUSED if work.summary.refused else 0


def _wait() -> None:
    print("another import of this home is under way; waiting for its end", file=sys.stderr)


def _send(work: Import, brokers: Brokers, topic: str) -> None:
    from pipeline.app.producer import Producer

    producer = Producer(brokers, client_id="groundswell-customer")
    try:
        work.send(producer, topic)
    except KeyboardInterrupt:
        print("groundswell: interrupted; the same call goes on from here", file=sys.stderr)
        raise
    finally:
        producer.close()


def _list(findings: Iterator[Finding], format: str) -> None:
    """Lists what is wrong as it is found; a table of nothing is left out."""
    from pipeline.cli.output import write_rows

    first = list(islice(findings, 1))
    rows = (
        {
            "line": one.line,
            "id": one.id,
            "result": f"{one.field} left out" if one.field else "refused",
            "problem": one.problem,
        }
        for one in chain(first, findings)
    )
    if first or format != "table":
        write_rows(rows, ("line", "id", "result", "problem"), format, sys.stdout)  # type: ignore[arg-type]


def _sum_up(summary: Summary, file: CustomerFile, encoding: str, seconds: float, *, dry: bool) -> None:
    parts = [
        f"{getattr(summary, name):,} {name}" for name in ("new", "changed", "unchanged", "removed", "refused")
    ]
    if summary.repeated:
        parts.append(f"{summary.repeated:,} repeated")
    text = f"{summary.rows:,} rows: {', '.join(parts)}; {summary.fields:,} fields left out"
    tail = "nothing was sent" if dry else f"{seconds:.1f} s"
    print(f"{text}; {encoding}; {tail}", file=sys.stderr)
    if names := list(file.ignored):
        _say_ignored(names)


def _say_ignored(names: list[str]) -> None:
    from pipeline.cli.output import plain

    shown = ", ".join(f"`{plain(name[:40])}`" for name in names[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    print(f"columns that mean nothing here were left out: {shown}{more}", file=sys.stderr)


def run_remove(args: argparse.Namespace) -> int:
    """Removes customers. 0, or 3 where an id was not known; the others are removed all the same."""
    from pipeline.app.customers.removing import remove, unknown_ids
    from pipeline.app.producer import Producer
    from pipeline.cli.output import plain

    _, brokers, topic = _place(args, create=True)
    ids = list(dict.fromkeys(args.ids))
    unknown = unknown_ids(brokers, topic, ids)
    producer = Producer(brokers, client_id="groundswell-customer")
    try:
        remove(producer, topic, [one for one in ids if one not in unknown])
    finally:
        producer.close()
    for one in unknown:
        print(f"there is no customer `{plain(one)}`", file=sys.stderr)
    print(f"{len(ids) - len(unknown)} removed", file=sys.stderr)
    return SOME_REFUSED if unknown else 0


def _place(args: argparse.Namespace, *, create: bool) -> tuple[Settings, Brokers, str]:
    """The settings, where Kafka is, and the name of the topic of customers."""
    from pipeline.app.configuration import brokers_of, home_for, settings_for
    from pipeline.app.topics import admin_client, ensure_topics, topics_of

    settings = settings_for(args)
    set_up_logs(args)
    brokers = brokers_of(settings, home_for(args))
    if create:
        return settings, brokers, ensure_topics(brokers, settings.kafka).customers.name
    admin_client(brokers).close()  # says in one sentence when Kafka is away
    return settings, brokers, topics_of(settings.kafka).customers.name


def run_show(args: argparse.Namespace) -> int:
    """Everything known of one customer. Raises ConfigError where there is none of that id."""
    from pipeline.app.customers.portrait import portrait_of
    from pipeline.cli.customer_page import write_page

    with _index(args) as (client, settings):
        portrait = portrait_of(client, settings.elasticsearch, args.id)
    write_page(portrait, args.format, sys.stdout)
    return 0


def run_find(args: argparse.Namespace) -> int:
    """Lists the customers that fit, the best first."""
    from pipeline.app.customers.finding import find
    from pipeline.app.customers.region import region_of
    from pipeline.cli.output import write_rows

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit} is less than 1")
    with _index(args) as (client, settings):
        limit = SHOWN if args.limit is None and args.format == "table" else args.limit
        found = find(client, settings.elasticsearch, args.text, region_of(settings), limit)
    rows: Iterable[dict[str, object]] = found
    if args.format != "json":
        rows = map(_flat, found)
    write_rows(rows, FOUND, args.format, sys.stdout, below=["emails", "phones", "accounts"])
    if args.limit is None and len(found) == SHOWN and args.format == "table":
        print(f"the best {SHOWN}; --limit N shows more, --format csv all", file=sys.stderr)
    return 0


def _flat(customer: dict[str, Any]) -> dict[str, object]:
    from pipeline.cli.customer_page import account_text

    accounts = [f"{one['source']} {account_text(one)}" for one in customer.get("accounts", ())]
    return {**customer, "accounts": accounts}


@contextmanager
def _index(args: argparse.Namespace) -> Iterator[tuple[Elasticsearch, Settings]]:
    from pipeline.app import logs
    from pipeline.app.configuration import elasticsearch_url, home_for, settings_for
    from sinks.elastic import client_for

    settings = settings_for(args)
    logs.set_up("error")
    client = client_for(settings.elasticsearch, elasticsearch_url(settings, home_for(args)))
    try:
        yield client, settings
    finally:
        client.close()
