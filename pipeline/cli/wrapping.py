"""Strangers' words and long sentences in lines of a terminal: harmless, and never wider than asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pipeline.cli.output import cells_of, fit, plain


def wrapped(text: str, width: int, indent: str = "  ", further: str | None = None) -> Iterator[str]:
    """The text in lines of at most ``width`` cells, broken between words where it can be.

    ``indent`` begins the first line, ``further`` the others (the same unless said). Words wider than a line
    are cut into pieces.
    """
    further = indent if further is None else further
    line, empty = indent, True
    for word in _pieces(plain(text), width - max(cells_of(indent), cells_of(further))):
        if not empty and cells_of(line) + 1 + cells_of(word) > width:
            yield line.rstrip()
            line, empty = further, True
        line += word if empty else f" {word}"
        empty = False
    if not empty:
        yield line.rstrip()


def _pieces(text: str, width: int) -> Iterator[str]:
    for word in text.split():
        while cells_of(word) > width:
            # `fit` puts an ellipsis of one cell behind what it cut.
            head = fit(word, width + 1, pad=False)[:-1] if cells_of(word) > width + 1 else word[:-1]
            yield head
            word = word[len(head) :]
        yield word


def duration(seconds: float) -> str:
    """A length of time by its two largest units: 0.4 s, 3 min 20 s, 48 d 3 h."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for unit, size, small, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    raise AssertionError("unreachable")


def moment(at: datetime) -> str:
    """A moment for people, in UTC and to the second: 2026-11-22 12:00:00Z."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
