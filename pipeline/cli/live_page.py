"""What the live demo shows at its end: counts, complaints, queues, one complaint explained.

All texts and names are strangers' and go through the ways that keep a terminal safe.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.app.live_demo import Heard

_NO_BRANDS = (
    "Nobody named a brand of the brands file, for those that it ships with are invented. Yours go into a file"
    " like configs/brands.toml."
)


def show(heard: Heard) -> None:
    """Writes the page to standard output, no wider than the terminal."""
    from pipeline.cli.explained import page
    from pipeline.cli.output import write_rows
    from pipeline.cli.wrapping import wrapped

    width = shutil.get_terminal_size().columns
    shares = [
        {"brand": one.name, "kind": one.kind, "posts": one.posts, "complaints": one.complaints}
        for one in heard.shares
    ]
    for title, rows in (
        ("What was said, by language; the tone is scored in English", _tongues(heard)),
        ("The most urgent complaints", _urgent(heard)),
        ("For analysts: share of voice", shares),
        ("For support: the queues", _queues(heard)),
    ):
        print(f"\n{title}")
        if rows:
            write_rows(rows, list(rows[0]), "table", sys.stdout, width=width)
        else:
            for line in wrapped(_NO_BRANDS if rows is shares else "None.", width, ""):
                print(line)
    if heard.traced is not None:
        print("\nThe first of them from post to case, as `explain` tells it\n")
        sys.stdout.write(page(heard.traced))


def speed(heard: Heard) -> str:
    """How much came how fast, in a sentence."""
    return (
        f"{heard.records} posts and deletions in {heard.seconds:.0f} s, {heard.records / heard.seconds:.0f} a"
        f" second; the last was searchable {heard.settled:.1f} s after it was heard"
    )


def _tongues(heard: Heard) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for one in heard.tongues:
        scored = bool(one.negative or one.neutral or one.positive)
        rows.append(
            {
                "language": one.code,
                "posts": one.posts,
                "negative": one.negative if scored else "",
                "neutral": one.neutral if scored else "",
                "positive": one.positive if scored else "",
                "complaints": one.complaints,
            }
        )
    return rows


def _urgent(heard: Heard) -> list[dict[str, object]]:
    return [
        {
            "urgency": f"{one.urgency:.2f}",
            "about": one.category,
            "in": one.language,
            "who": one.who.removeprefix("bluesky:"),
            "text": one.text,
        }
        for one in heard.urgent
    ]


def _queues(heard: Heard) -> list[dict[str, object]]:
    return [{"queue": one.queue, "waiting": one.open, "untaken": one.unassigned} for one in heard.queues]
