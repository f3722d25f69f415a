"""TOML as people leave it: UTF-8 with or without a mark at its start, faults told with their place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pipeline.core.errors import ConfigError, raise_problems

_AT = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.S)


def parse_toml(raw: bytes) -> dict[str, Any]:
    """The tables of a file's content. Raises ConfigError such as "line 3, column 7: Invalid value".

    No chained error: tomllib's own may hold the whole text, and with it a secret.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 at byte {error.start}: save it as UTF-8") from None
    try:
        return tomllib.loads(text)
    except ValueError as error:
        problem = _place(str(error), text)
    except RecursionError:
        problem = "nested too deeply"
    raise ConfigError(problem)


def read_toml(path: Path, origin: str, remedy: str) -> dict[str, Any]:
    """The tables of a file. The ConfigError begins with ``origin``; ``remedy`` is for an unreadable file."""
    try:
        return parse_toml(path.read_bytes())
    except OSError as error:
        problem = f"cannot be read ({error.strerror}): {remedy}"
    except ConfigError as error:
        problem = str(error)
    raise_problems([problem], origin)
    raise AssertionError("unreachable")


def _place(message: str, text: str) -> str:
    """tomllib's message with the place first: "line 3, column 7: Invalid value"."""
    found = _AT.fullmatch(message)
    if not found:
        return message
    line = found["line"] or 1 + text.count("\n")
    column = found["column"] or 1 + len(text) - (text.rfind("\n") + 1)
    return f"line {line}, column {column}: {found['what']}"
