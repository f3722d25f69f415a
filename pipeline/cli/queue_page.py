"""How cases look in a terminal: one line each where there is room, two where there is little."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from shutil import get_terminal_size
from typing import Any, TextIO

from pipeline.app.cases.desk import Desk
from pipeline.app.cases.listing import CaseList, due_in_words
from pipeline.cli.output import Format, fit, plain, write_rows
from pipeline.cli.wrapping import moment
from pipeline.core.case import RULES, Case
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.schema import suggestion

NARROW = 130
"""Terminals below so many columns show a case on two lines."""

EXPORTED = (
    *("case", "queue", "priority", "due_at", "state", "assignee", "customer", "customer_id", "author"),
    *("rule", "category", "text", "post", "posts", "opened_at", "first_response_at", "resolved_at"),
    *("updated_at", "revision"),
)
REST = 2.0
"""Seconds between two looks of --follow."""

_OVERLAP = timedelta(seconds=60)  # clocks of several machines differ, and a refresh takes a second
_SHORT = 8

Row = Mapping[str, Any]


class Page:
    """One listing, and what changes behind it."""

    def __init__(self, desk: Desk, queue: str, format: Format, out: TextIO) -> None:
        self._list = CaseList(desk.client, desk.settings.elasticsearch, desk.cases)
        self._desk = desk
        self._queue = queue
        self._format = format
        self._out = out
        self._width = get_terminal_size().columns if out.isatty() else None
        self._seen: dict[str, int] = {}
        self._since = datetime.now(UTC)

    def show(self, *, limit: int | None, all_states: bool, follow: bool = False) -> None:
        """The queues, where none is named, and the cases. ConfigError where there is no such queue."""
        now = datetime.now(UTC)
        self._since = now
        if follow:
            self._seen = {case.id: case.revision for case in self._list.since(now - _OVERLAP, self._queue)}
        known = self._known_queues(now)
        rows = self._list.rows(self._queue, all_states=all_states, limit=limit)
        if self._format == "json" and follow:
            # An array that never ends is of no use: an object a line.
            for row in rows:
                self._export_more(row)
        elif self._format != "table":
            self._export(rows)
        else:
            self._list_all(rows, known, now, limit)
        self._out.flush()

    def _list_all(self, rows: Iterable[Row], known: Sequence[Row], now: datetime, limit: int | None) -> None:
        if not self._queue:
            self._print_totals(known)
        shown = self._print(rows, now)
        waiting = sum(total["waiting"] for total in known if self._queue in ("", total["queue"]))
        if shown < waiting and limit is not None:
            print(f"{shown} of {waiting} cases; --limit N shows more", file=sys.stderr)

    def _known_queues(self, now: datetime) -> list[dict[str, Any]]:
        """The queues with cases, and those of the rules; refuses a name that is neither."""
        found = {total.queue: total for total in self._list.totals(now)}
        names = sorted({*found, *self._desk.queues()})
        if self._queue and self._queue not in names:
            held = self._list.rows(self._queue, all_states=True, limit=1)
            if names and not list(held):
                raise ConfigError(f"there is no queue `{self._queue}`{suggestion(self._queue, names)}")
        return [
            {
                "queue": name,
                "waiting": found[name].open if name in found else 0,
                "untaken": found[name].unassigned if name in found else 0,
                "late": found[name].late if name in found else 0,
            }
            for name in names
        ]

    def _print_totals(self, totals: Sequence[Row]) -> None:
        if totals:
            write_rows(totals, ["queue", "waiting", "untaken", "late"], "table", self._out, width=self._width)
            self._out.write("\n")

    def _print(self, rows: Iterable[Row], now: datetime) -> int:
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            where = f" in {self._queue}" if self._queue else ""
            self._out.write(f"nothing waits{where}\n")
            return 0
        rows = chain([first], rows)
        if self._width is not None and self._width < NARROW:
            return self._print_cards(rows, now)
        columns = ["case", "p", "due", "state", "customer", "author", "why", "text"]
        if not self._queue:
            columns.insert(1, "queue")
        return write_rows((_cells(row, now) for row in rows), columns, "table", self._out, width=self._width)

    def _print_cards(self, rows: Iterable[Row], now: datetime) -> int:
        count = 0
        for count, row in enumerate(rows, 1):  # noqa: B007 - counts
            self._out.write(self._card(_cells(row, now)))
        return count

    def _card(self, cells: Mapping[str, str]) -> str:
        assert self._width is not None
        head = [cells["case"], f"p{cells['p']}", fit(cells["due"], 11), fit(plain(cells["state"]), 12)]
        said = [cells["queue"] if not self._queue else "", cells["customer"], cells["author"], cells["why"]]
        line = "  ".join([*head, " · ".join(plain(word) for word in said if word not in ("", "—"))])
        text = fit(plain(cells["text"]), self._width - 4, pad=False)
        return f"{fit(line, self._width, pad=False)}\n    {text}\n"

    def _export(self, rows: Iterable[Row]) -> None:
        write_rows(rows, EXPORTED, self._format, self._out)

    def _export_more(self, row: Row) -> None:
        """One row without what stands around all of them, the head of the file or the brackets."""
        text = io.StringIO()
        write_rows([row], EXPORTED, self._format, text)
        lines = text.getvalue().split("\n", 1)[1]
        self._out.write(lines if self._format == "csv" else lines.removesuffix("]\n"))

    def follow(self) -> None:
        """Tells what comes and what changes, until Ctrl-C; waits where Elasticsearch is away."""
        away = False
        while True:
            time.sleep(REST)
            try:
                news = self._news()
            except RetryableError as error:
                if not away:
                    print(f"groundswell: {error}; waiting until it answers", file=sys.stderr)
                away = True
                continue
            if away:
                print("groundswell: Elasticsearch answers again", file=sys.stderr)
            away = False
            self._tell(news)
            self._out.flush()

    def _news(self) -> list[tuple[Case, Row]]:
        """Cases that were written since the last look, each once a revision."""
        now = datetime.now(UTC)
        found = self._list.since(self._since - _OVERLAP, self._queue)
        fresh = [case for case in found if case.revision > self._seen.get(case.id, 0)]
        rows = list(self._list.joined(fresh))
        # Only now, for all of it must have been read.
        self._seen |= {case.id: case.revision for case in fresh}
        self._since = now
        return list(zip(fresh, rows, strict=True))

    def _tell(self, news: Sequence[tuple[Case, Row]]) -> None:
        now = datetime.now(UTC)
        for case, row in news:
            if self._format == "table":
                self._out.write(self._news_line(case, _cells(row, now)))
                continue
            self._export_more(row)

    def _news_line(self, case: Case, cells: Mapping[str, str]) -> str:
        step = case.history[-1]
        by = f" by {step.by}" if step.by != RULES else ""
        at = f"{step.at.astimezone():%H:%M:%S}"
        state = "" if step.did == "opened" else f" ({cells['state']})"
        head = f"{at}  {cells['case']}  p{cells['p']}  {case.queue}: {step.did}{by}{state}"
        said = [cells["due"], cells["customer"], cells["author"], cells["text"]]
        line = "  ".join([head, *(plain(word) for word in said if word)])
        return (fit(plain(line), self._width, pad=False) if self._width else plain(line)) + "\n"


def _cells(row: Row, now: datetime) -> dict[str, str]:
    """A case in the words of a table."""
    handle, rule, category = str(row["author"]), str(row["rule"]), str(row["category"])
    mailed = str(row["post"]).startswith("mail:")  # the handle is an address
    state = f"{row['state']} {row['assignee']}".strip() if row["assignee"] else str(row["state"])
    return {
        "case": str(row["case"])[:_SHORT],
        "queue": str(row["queue"]),
        "p": str(row["priority"]),
        "due": due_in_words(row, now),
        "state": state,
        "customer": str(row["customer"] or row["customer_id"] or "—"),
        "author": handle if ":" in handle or " " in handle or mailed else f"@{handle}",
        "why": f"{rule} ({category})" if category not in ("", rule) else rule,
        "text": str(row["text"]),
    }


def outcome(case: Case, changed: bool, now: datetime) -> str:
    """One line on a case after somebody's work."""
    who = f" ({case.assignee})" if case.assignee else ""
    due = due_in_words(
        {"first_response_at": case.first_response_at, "due_at": case.due_at, "state": case.state}, now
    )
    when = f", due {due}" if due.startswith("in ") else "" if due == "—" else f", {due}"
    what = "" if changed else "unchanged: "
    return plain(f"{what}{case.id} is {case.state}{who} in {case.queue}, priority {case.priority}{when}")


def show(desk: Desk, case: Case, out: TextIO) -> None:
    """One case, whole: its fields, its posts, its history."""
    listing = CaseList(desk.client, desk.settings.elasticsearch, desk.cases)
    (row,) = listing.joined([case])
    for name in EXPORTED:
        if name not in ("text", "post", "posts") and row[name] not in ("", None):
            out.write(f"{name:<18} {_said(row[name])}\n")
    due = due_in_words(row, datetime.now(UTC))
    out.write(f"{'first response':<18} {due}\n\nposts\n")
    posts = listing.posts(case.posts)
    for id in case.posts:
        out.writelines(_post_lines(id, posts.get(id, {})))
    out.write("\nhistory\n")
    for step in case.history:
        by = f" by {step.by}" if step.by != RULES else ""
        note = f": {step.note}" if step.note else ""
        out.write(f"  {_said(step.at)}  {plain(step.did + by + note)}\n")
        for name, before, after in _differences(step.before, step.after):
            out.write(f"      {name}: {plain(before)} → {plain(after)}\n")


def _post_lines(id: str, post: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {plain(id)}  {post.get('created_at', '')}  {plain(str(post.get('url', '')))}".rstrip() + "\n"
    if post.get("deleted"):
        yield "      deleted by its author\n"
    elif not post:
        yield "      not in the index\n"
    else:
        yield f"      {plain(str(post.get('text', '')))}\n"


_TOLD = ("queue", "priority", "state", "assignee", "due_at", "first_response_at", "customer_id")


def _differences(before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    from msgspec import UNSET

    for name in _TOLD:
        old, new = getattr(before, name), getattr(after, name)
        if new is not UNSET and old is not UNSET:
            yield name, _said(old), _said(new)


def _said(value: object) -> str:
    if isinstance(value, datetime):
        return moment(value)
    return plain(str(value)) if value not in ("", None) else "—"
