"""``groundswell rejected``: what was refused, why, and another try."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.log_option import add_log_format, set_up_logs
from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.app.rejections import Refused


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command and its verbs."""
    command = subparsers.add_parser("rejected", help="what was refused, and another try")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="list|show|export|replay")
    listing = verbs.add_parser("list", help="what stands rejected, oldest first")
    _filters(listing)
    listing.add_argument("--limit", type=int, default=0, help="at most so many (default: all)")
    listing.add_argument("--format", choices=("table", "json", "csv"), default="table")
    listing.set_defaults(run=run_list)
    show = verbs.add_parser("show", help="one rejection, whole")
    show.add_argument("id", metavar="ID", help="its id, or the beginning of it")
    show.set_defaults(run=run_show)
    export = verbs.add_parser("export", help="the refused posts as JSON Lines, to be mended and replayed")
    _filters(export)
    export.set_defaults(run=run_export)
    replay = verbs.add_parser("replay", help="send again, and strike off what could be sent")
    replay.add_argument("ids", nargs="*", metavar="ID")
    _filters(replay)
    replay.add_argument("--all", action="store_true", help="everything that stands rejected")
    replay.add_argument("--from", dest="file", metavar="FILE", help="the posts of `export`, mended")
    replay.add_argument("--dry-run", action="store_true", help="say what would be sent; send nothing")
    add_log_format(replay)
    replay.set_defaults(run=run_replay)


def _filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", help="only with this reason, such as invalid or unreadable")
    stages = ("replay", "collect", "enrich", "index", "directory")
    command.add_argument("--stage", choices=stages, help="only of this stage")


def run_list(args: argparse.Namespace) -> int:
    """One row a rejection."""
    from pipeline.app.rejections import chosen, standing
    from pipeline.cli.output import write_rows

    brokers, topics = _place(args)
    entries = chosen(standing(brokers, topics), reason=args.reason, stage=args.stage)
    rows = [_row(entry) for entry in entries[: args.limit or None]]
    if args.format == "table":
        write_rows([_in_words(row) for row in rows], _SHOWN, "table", sys.stdout, below=["error"])
    else:
        write_rows(rows, _COLUMNS, args.format, sys.stdout)
    return 0


def run_show(args: argparse.Namespace) -> int:
    """All that is known of one rejection, the payload last."""
    from pipeline.app.rejections import chosen, standing
    from pipeline.cli.output import plain

    brokers, topics = _place(args)
    entries = chosen(standing(brokers, topics), ids=[args.id])
    if len(entries) != 1:
        found = f"{len(entries)} rejections begin" if entries else "no rejection begins"
        raise ConfigError(f"{found} with `{args.id}`; see `groundswell rejected list`")
    entry = entries[0]
    for name, value in _in_words(_row(entry)).items():
        print(f"{name:<12} {plain(str(value))}")
    print(f"payload ({entry.rejection.encoding}{', cut' if entry.rejection.cut else ''}):")
    print(plain(entry.rejection.payload))
    return 0


def run_export(args: argparse.Namespace) -> int:
    """One line a rejection that holds a post: its id, why it was refused, and the post. Status 1 when some
    hold none."""
    import msgspec

    from pipeline.app.rejections import chosen, post_in, standing
    from pipeline.core.errors import RejectedError
    from pipeline.core.rejection import payload_of

    brokers, topics = _place(args)
    without = 0
    for entry in chosen(standing(brokers, topics), reason=args.reason, stage=args.stage):
        rejection = entry.rejection
        try:
            post: object = post_in(rejection)
        except RejectedError as error:
            post = None if rejection.cut else _object(payload_of(rejection))
            if post is None:
                without += 1
                print(f"{rejection.id} cannot be mended here: {error}", file=sys.stderr)
                continue
        line = {"id": rejection.id, "reason": rejection.reason, "error": rejection.error, "post": post}
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    return 1 if without else 0


def _object(payload: bytes) -> dict[str, object] | None:
    """What was refused, if it is at least an object whose fields a person can mend."""
    import msgspec

    try:
        return msgspec.json.decode(payload, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return None


def run_replay(args: argparse.Namespace) -> int:
    """Sends what was chosen once more; status 1 when some of it would only be refused again."""
    from pipeline.app.producer import Producer
    from pipeline.app.rejections import chosen, mended, retry, standing

    if not (args.ids or args.all or args.reason or args.stage or args.file):
        raise ConfigError("say which: an ID, --reason, --stage, --from FILE or --all")
    brokers, topics = _place(args)
    entries = chosen(standing(brokers, topics), ids=args.ids, reason=args.reason, stage=args.stage)
    if args.ids and not entries:
        raise ConfigError(
            f"no rejection begins with `{'`, `'.join(args.ids)}`; see `groundswell rejected list`"
        )
    stuck = 0

    def stays(name: str, reason: str) -> None:
        nonlocal stuck
        stuck += 1
        print(f"{name} stays: {reason}", file=sys.stderr)

    if args.file:
        entries = list(mended(entries, _lines(args.file), stays))
    producer = None if args.dry_run else Producer(brokers, client_id="groundswell-rejected")
    try:
        sent = retry(entries, topics, producer, lambda rejection, reason: stays(rejection.id, reason))
    finally:
        if producer is not None:
            producer.close()
    print(f"{sent} {'would be ' if args.dry_run else ''}sent again, {stuck} stay rejected", file=sys.stderr)
    return 1 if stuck else 0


def _lines(file: str) -> list[bytes]:
    try:
        whole = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    # As some editors begin a file.
    return whole.removeprefix(b"\xef\xbb\xbf").split(b"\n")


def _place(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from pipeline.app.configuration import brokers_of, home_for, settings_for
    from pipeline.app.topics import admin_client, topics_of

    settings = settings_for(args)
    set_up_logs(args)
    brokers = brokers_of(settings, home_for(args))
    admin_client(brokers).close()  # says in one sentence when Kafka is away
    return brokers, topics_of(settings.kafka)


_COLUMNS = ("id", "stage", "reason", "error", "origin", "attempts", "first_at", "rejected_at")
_SHOWN = ("id", "stage", "reason", "attempts", "rejected_at", "error")
"""Of a table, which `show` completes."""


def _row(entry: Refused) -> Mapping[str, object]:
    rejection = entry.rejection
    return {
        "id": rejection.id,
        "stage": rejection.stage,
        "reason": rejection.reason,
        "error": rejection.error,
        "origin": rejection.origin,
        "attempts": entry.attempts,
        "first_at": entry.first_at,
        "rejected_at": rejection.rejected_at,
    }


def _in_words(row: Mapping[str, object]) -> Mapping[str, object]:
    """The row with times for people, in UTC."""
    from pipeline.cli.wrapping import moment

    return {name: moment(value) if isinstance(value, datetime) else value for name, value in row.items()}
