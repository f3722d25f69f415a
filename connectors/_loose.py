"""Reading JSON in which nothing can be relied upon: what is not of the wanted kind counts as absent. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec


def read_json(raw: bytes) -> Any:
    """What the text says. ValueError where it is no JSON.

    A lone surrogate becomes U+FFFD: platforms that cut a text inside a character send such.
    """
    try:
        return msgspec.json.decode(raw)
    except RecursionError:
        raise ValueError("no valid JSON: nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = f"no valid JSON: {error}"
    try:
        loose = json.dumps(json.loads(raw.decode("utf-8", "surrogatepass")), ensure_ascii=False)
        return msgspec.json.decode(loose.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError, msgspec.DecodeError):
        raise ValueError(fault) from None


def dict_of(value: Any) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def rows_of(value: Any) -> list[dict[str, Any]]:
    """The objects of an array."""
    return [row for row in list_of(value) if isinstance(row, dict)]


def text_of(value: Any) -> str:
    """The text, or an empty one."""
    return value if isinstance(value, str) else ""


def count_of(value: Any) -> int | None:
    """A number of things, below 2**63; None for anything else, true and false too."""
    return value if type(value) is int and 0 <= value < 2**63 else None


def time_of(value: Any) -> datetime | None:
    """A moment as RFC 3339 writes it, in UTC; None where it is none."""
    try:
        return msgspec.convert(value, datetime).astimezone(UTC) if isinstance(value, str) else None
    except (msgspec.ValidationError, OverflowError, ValueError):
        return None


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """Each text once, in the order of their first coming, without empty ones."""
    return tuple(dict.fromkeys(filter(None, values)))
