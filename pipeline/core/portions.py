"""Many things in portions of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def portions(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """All items in their order, in lists of ``size``; the last may be shorter, none is empty."""
    rest = iter(items)
    while portion := list(islice(rest, size)):
        yield portion
