"""The page of one customer, for people or as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pipeline.app.customers.portrait import Portrait

_NO = "Said no to being recognised in public posts: no post is linked to them. Do not speak to them of posts."
_CONSENT = {True: "yes", None: "not known"}
_WIDTH = 12


def write_page(portrait: Portrait, format: str, out: TextIO) -> None:
    """Writes the page; what strangers wrote can drive no terminal."""
    import msgspec

    from pipeline.cli.output import cells_of, plain
    from pipeline.cli.wrapping import wrapped

    if format == "json":
        text = msgspec.json.encode(portrait).decode()
        out.write((json.dumps(json.loads(text)) if out.isatty() else text) + "\n")
        return
    width = get_terminal_size().columns if out.isatty() else None
    for line in page(portrait):
        shown = plain(line).rstrip()
        if width is None or cells_of(shown) <= width:
            out.write(shown + "\n")
            continue
        indent = " " * (len(shown) - len(shown.lstrip()))
        out.writelines(part + "\n" for part in wrapped(shown, width, indent))


def page(portrait: Portrait) -> Iterator[str]:
    """The lines of the page."""
    customer = portrait.customer
    yield f"{customer['id']}  {customer.get('name', '')}"
    if customer.get("consent") is False:
        yield ""
        yield f"CONSENT: NO. {_NO}"
    yield ""
    yield from _record(customer)
    yield ""
    yield from _activity(portrait)
    yield ""
    yield from _open_cases(portrait)


def _line(name: str, value: object) -> str:
    return f"{name:<{_WIDTH}} {value}"


def _record(customer: Mapping[str, Any]) -> Iterator[str]:
    if customer.get("segment"):
        yield _line("segment", customer["segment"])
    if customer.get("value") is not None:
        yield _line("value", f"{customer['value']:,.2f} a year")
    if customer.get("since"):
        yield _line("since", customer["since"])
    if customer.get("consent") is not False:
        yield _line("consent", _CONSENT[customer.get("consent")])
    for name, field in (("e-mail", "emails"), ("phone", "phones")):
        for value in customer.get(field, ()):
            yield _line(name, value)
    for account in customer.get("accounts", ()):
        yield _line(account["source"], account_text(account))
    yield _line("updated", _time(customer.get("updated_at")))


def account_text(account: Mapping[str, Any]) -> str:
    """An account by its handle, by its id, or by both."""
    parts = [f"@{account['handle']}"] if account.get("handle") else []
    return " ".join(parts + ([account["id"]] if account.get("id") else []))


def _activity(portrait: Portrait) -> Iterator[str]:
    if not portrait.posts:
        yield "No posts are linked to this customer."
        return
    by_source = ", ".join(f"{source} {count:,}" for source, count in portrait.posts_by_source.items())
    yield _line("posts", f"{portrait.posts:,} ({by_source})")
    yield _line("first seen", _time(portrait.first_seen))
    yield _line("last seen", _time(portrait.last_seen))
    yield _line("complaints", f"{portrait.complaints:,}")
    if portrait.sentiment is not None:
        yield _line("sentiment", f"{portrait.sentiment:+.2f} (mean of -1 to 1)")
    yield ""
    yield "last posts"
    for post in portrait.last_posts:
        label = post.get("sentiment", {}).get("label", "")
        complaint = post.get("complaint", {})
        what = (
            f"{label}, complaint: {complaint.get('category', '')}" if complaint.get("is_complaint") else label
        )
        yield f"  {_time(post.get('created_at'))}  {post['id']}  ({what})"
        yield f"    {_short(post.get('text', ''))}"


def _open_cases(portrait: Portrait) -> Iterator[str]:
    if not portrait.open_cases:
        yield "No cases are open."
        return
    yield "open cases"
    for case in portrait.open_cases:
        assignee = f", {case['assignee']}" if case.get("assignee") else ""
        due = f", due {_time(case['due_at'])}" if case.get("due_at") else ""
        yield f"  {case['id']}  {case.get('queue', '')}  {case.get('state', '')}{assignee}{due}"


def _time(written: str | None) -> str:
    return (written or "").replace("T", " ")[:16]


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
