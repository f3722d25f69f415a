"""What costs more where there is more of something: names, rules, customers. No server; a program each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench import HERE
from rows import Row


def _told(script: str, *arguments: int) -> dict[str, Any]:
    """What a program of this folder's parent prints, run by itself, so that nothing else is in its memory."""
    command = [sys.executable, str(HERE.parent / script), *map(str, arguments)]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def aliases(posts: int) -> list[Row]:
    """A hundred thousand beside a hundred."""
    told = _told("aliases.py", posts)
    rows = (
        ("unsaid", "us_step", "none said: step entities", 1.3),
        ("unsaid", "us_chain", "none said: whole chain", 1.3),
        ("said", "us_step", "words in use: step entities", None),
        ("said", "us_chain", "words in use: whole chain", 1.3),
    )
    return [
        _row("aliases", f"100,000 aliases, {what}", "100", told[kind]["ratio"][part], goal)
        for kind, part, what, goal in rows
    ]


def rules(_: int = 0) -> list[Row]:
    """A thousand beside ten."""
    told = _told("routing.py")
    return [
        _row("rules", f"1,000 rules, mode {mode}: step route", "10", told[mode]["ratio_1000_to_10"], 1.5)
        for mode in ("first", "all")
    ]


def customers(count: int) -> list[Row]:
    """So many, a million by default, beside a thousand."""
    ratio = _told("directory.py", count)["ratio"]
    rows = (
        ("us_steps", "contacts, customer", 1.3),
        ("us_chain_of_new", "chain, authors new", 1.3),
        ("us_to_link_a_customer", "one customer looked up", None),
        ("us_to_link_a_stranger", "a stranger looked up", None),
    )
    return [
        _row("directory", f"{count:,} customers: {what}", "1,000", ratio[part], goal)
        for part, what, goal in rows
    ]


def _row(area: str, what: str, beside: str, got: float, goal: float | None) -> Row:
    return Row(area=area, what=what, beside=beside, got=got, goal=goal, at_most=True)


GROWTH: dict[str, Callable[[int], list[Row]]] = {"aliases": aliases, "rules": rules, "directory": customers}
