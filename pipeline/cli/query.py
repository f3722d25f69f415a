"""``groundswell query 'TEXT'``: posts of the index, how many there are, and how many of each value."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.core.errors import ConfigError, FatalError

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from pipeline.app.fields import Field
    from pipeline.app.search import Search
    from pipeline.core.settings import Settings
    from sinks.store import Store

SHOWN = 20
"""Rows of a table unless --limit says otherwise; exports are whole."""

COLUMNS = ("id", "created_at", "author.handle", "sentiment.label", "text")
FORMATS = ("table", "json", "csv", "parquet")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "query",
        help="posts of the index, counts and exports",
        description="Posts whose text matches TEXT, in the Lucene style:"
        ' "late flight" AND sentiment.label:negative. docs/fields.md lists the fields.',
    )
    option = command.add_argument
    option("text", nargs="?", default="*", metavar="TEXT", help="what to look for (default: all)")
    option("--since", metavar="WHEN", help="created from then on: 2026-11-22, a time, or 7d, 24h, 90m")
    option("--until", metavar="WHEN", help="created before then")
    option("--sort", metavar="FIELD[:asc|desc]", default="created_at:desc", help="(default: newest first)")
    option("--limit", type=int, metavar="N", help=f"at most so many (default: {SHOWN} in a table, else all)")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--count", action="store_true", help="print the number of posts, nothing else")
    what.add_argument("--count-by", metavar="FIELD", help="posts by value, or by created_at:day, :week …")
    what.add_argument(
        "--share-of-voice",
        action="store_true",
        help="posts, share, complaints and mood of us and of competitors",
    )
    option("--by", choices=("day", "week", "month"), help="with --share-of-voice: one row a step and brand")
    option("--fields", metavar="A,B,C", help="the columns, separated by commas")
    option("--deleted", action="store_true", help="deleted posts too, of which only stubs are left")
    option("--format", choices=FORMATS, help="(default: by the end of FILE, else table)")
    option("--output", type=Path, metavar="FILE", help="write there, once all of it is complete")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answers one question to the index. Raises ConfigError for a wrong one, RetryableError and
    FatalError where it cannot be answered."""
    from pipeline.app import logs
    from pipeline.app.configuration import elasticsearch_url, home_for, settings_for
    from pipeline.app.moment import moment
    from pipeline.app.search import Search
    from pipeline.core.index_name import alias
    from sinks.elastic import client_for
    from sinks.store import Store

    args.format = args.format or _format_of(args.output)
    _check(args)
    now = datetime.now(UTC)
    search = Search(
        text=args.text,
        since=moment(args.since, now) if args.since else None,
        until=moment(args.until, now) if args.until else None,
        deleted=args.deleted,
    )
    settings = settings_for(args)
    logs.set_up("error")
    client = client_for(settings.elasticsearch, elasticsearch_url(settings, home_for(args)))
    index = alias(settings.elasticsearch.prefix)
    customers = Store(client, settings.elasticsearch, "customers")
    try:
        if args.count:
            _print_count(client, index, search, args)
        elif args.count_by:
            _list_counts(client, index, search, args, customers)
        elif args.share_of_voice:
            _list_shares(client, index, search, args, settings)
        else:
            _list_documents(client, index, search, args, customers)
    finally:
        client.close()
    return 0


def _format_of(output: Path | None) -> str:
    end = output.suffix.removeprefix(".") if output else ""
    return end if end in FORMATS else "table"


def _check(args: argparse.Namespace) -> None:
    if args.limit is not None and args.limit < 0:
        raise ConfigError(f"--limit {args.limit} is less than nothing: leave it out for all")
    if args.format == "parquet" and args.output is None and sys.stdout.isatty():
        raise ConfigError("parquet is no text for a terminal: use --output FILE or redirect to one")
    if args.format == "parquet" and args.count:
        raise ConfigError("--count prints one number: leave --format parquet out")
    if args.by and not args.share_of_voice:
        raise ConfigError(
            f"--by goes with --share-of-voice; posts by time are --count-by created_at:{args.by}"
        )


def _print_count(client: Elasticsearch, index: str, search: Search, args: argparse.Namespace) -> None:
    from pipeline.app.search import count

    number = count(client, index, search)
    with _opened(args.output, "w") as out:
        out.write(f"{number}\n")


def _list_counts(
    client: Elasticsearch, index: str, search: Search, args: argparse.Namespace, customers: Store
) -> None:
    from pipeline.app.fields import Field, leaves
    from pipeline.app.joining import with_names
    from pipeline.app.search import tally

    pairs = tally(client, index, search, args.count_by)
    name = args.count_by.partition(":")[0]
    kinds = {type(value) for value, _ in pairs}
    kind = _KINDS.get(kinds.pop(), "keyword") if len(kinds) == 1 else "keyword"
    rows: Iterator[Mapping[str, object]] = (
        {name: value, "count": number} for value, number in pairs[: args.limit]
    )
    fields = [Field(name, kind, False, name), Field("count", "long", False, "count")]
    if name == "customer.id" and args.format == "table":
        # Only where somebody reads it: an export holds no names unless it is asked for them.
        rows = with_names(({**row, "customer": {"id": row[name]}} for row in rows), customers)
        fields.insert(1, *leaves("customer.name"))
    _write(rows, fields, args)


def _list_shares(
    client: Elasticsearch, index: str, search: Search, args: argparse.Namespace, settings: Settings
) -> None:
    import msgspec

    from pipeline.app.fields import Field
    from pipeline.app.share_of_voice import brands_of, share_of_voice, voices_of

    found = share_of_voice(client, index, search, voices_of(brands_of(settings)), args.by)
    fields = [Field(name, kind, False, name) for name, kind in _SHARE if args.by or name != "period"]
    _write((msgspec.structs.asdict(one) for one in found[: args.limit]), fields, args)


_SHARE = (
    ("period", "keyword"),
    ("id", "keyword"),
    ("name", "keyword"),
    ("kind", "keyword"),
    ("posts", "long"),
    ("share", "double"),
    ("complaints", "long"),
    ("sentiment", "double"),
)


_KINDS: dict[type, str] = {bool: "boolean", int: "long", float: "double"}


def _list_documents(
    client: Elasticsearch, index: str, search: Search, args: argparse.Namespace, customers: Store
) -> None:
    from pipeline.app.fields import JOINED, catalogue, leaves
    from pipeline.app.joining import with_names
    from pipeline.app.search import count, documents

    names = [name.strip() for name in (args.fields or "").split(",") if name.strip()]
    if args.format == "table":
        names = names or list(COLUMNS)
    fields = [field for name in names for field in leaves(name)]
    limit = SHOWN if args.limit is None and args.format == "table" else args.limit
    joined = any(field.name in JOINED for field in fields)
    source = [field.name for field in fields] + (["customer.id"] if joined else [])
    found = documents(client, index, search, sort=args.sort, fields=source, limit=limit)
    if args.format != "json":
        fields = fields or list(catalogue().values())
    with closing(found):
        written = _write(with_names(found, customers) if joined else found, fields, args)
    if args.format == "table" and args.limit is None and written == SHOWN:
        total = count(client, index, search)
        if total > written:
            print(f"{written} of {total} posts; --limit N shows more, --format csv all", file=sys.stderr)


def _write(rows: Iterator[Mapping[str, object]], fields: Sequence[Field], args: argparse.Namespace) -> int:
    """Writes the rows; the first is read before anything is written, so that a wrong question leaves
    no file and no half of an answer behind."""
    from pipeline.cli.output import write_rows

    rows = chain(list(islice(rows, 1)), rows)
    if args.format == "parquet":
        from pipeline.cli.parquet import write_parquet

        with _opened(args.output, "wb") as out:
            return write_parquet(rows, fields, out)
    with _opened(args.output, "w") as out:
        return write_rows(rows, [field.name for field in fields], args.format, out, below=["text"])


@contextmanager
def _opened(path: Path | None, mode: Literal["w", "wb"]) -> Iterator[Any]:
    """Standard output, or a file that takes its name only when it is complete."""
    if path is None:
        yield sys.stdout.buffer if mode == "wb" else sys.stdout
        return
    part = path.with_name(f".{path.name}.part")
    encoding, newline = ("utf-8", "") if mode == "w" else (None, None)
    try:
        with part.open(mode, encoding=encoding, newline=newline) as out:
            yield out
        part.replace(path)
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
