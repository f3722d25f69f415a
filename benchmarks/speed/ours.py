"""Groundswell as it is measured: the shipped settings, 1,000 aliases, 50 rules, a home of its own.

Brands and rules are those of `benchmarks/airlines`, filled up with made ones that no post meets, as
most of a real team's rules are not met by most posts.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ALIASES = 1_000
RULES = 50
STEPS = ("language", "sentiment", "entities", "complaint", "route")
AIRLINES = Path(__file__).resolve().parent.parent / "airlines"


def write_settings(folder: Path, aliases: int = ALIASES, rules: int = RULES) -> Path:
    """The settings file, with its brands and rules beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "brands.toml").write_text(_brands(aliases), encoding="utf-8")
    (folder / "routing.toml").write_text(_routing(rules), encoding="utf-8")
    path = folder / "groundswell.toml"
    steps = ", ".join(f'"{step}"' for step in STEPS)
    path.write_text(
        f"[enrich]\nsteps = [{steps}]\n"
        '[enrichers.entities]\nfile = "brands.toml"\n'
        '[enrichers.route]\nfile = "routing.toml"\n',
        encoding="utf-8",
    )
    return path


def _brands(aliases: int) -> str:
    text = (AIRLINES / "brands.toml").read_text(encoding="utf-8")
    entities = tomllib.loads(text)["entities"]
    there = sum(
        len(e.get("aliases", ())) + sum(len(g["aliases"]) for g in e.get("guarded", ())) for e in entities
    )
    made = [
        f'[[entities]]\nid = "product:made-{n}"\nname = "Quorvex {n}"\nkind = "product"\n'
        f'aliases = ["Quorvex {n}", "quorvex{n} plus"]\n'
        for n in range(max(aliases - there, 0) // 2)
    ]
    # Own accounts stand at the end of the file: entities may follow them.
    return "\n".join([text, *made])


def _routing(rules: int) -> str:
    text = (AIRLINES / "routing.toml").read_text(encoding="utf-8")
    if "customer" not in STEPS:
        # Rules that ask who the customer is need a step that says so.
        head, *blocks = re.split(r"(?m)^(?=\[\[rules\]\])", text)
        text = "".join([head, *(block for block in blocks if "customer." not in block)])
    there = text.count("[[rules]]")
    shapes = (
        'source = "x" and text contains "wort{n}" and complaint.probability >= 0.6',
        'entities.id = "product:made-{n}" and sentiment.compound < -0.3',
        'text contains any of ("phrase{n} one", "other{n} words", "third{n}")',
        'complaint.category = "account" and complaint.urgency >= 0.8 and text contains "code{n}"',
    )
    made = [
        f'[[rules]]\nid = "made-{n}"\nqueue = "care"\nwhen = \'{shapes[n % 4].format(n=n)}\'\n'
        for n in range(max(rules - there, 0))
    ]
    # Before the others: the first rule that holds ends the search, and these never hold.
    head, *blocks = re.split(r"(?m)^(?=\[\[rules\]\])", text)
    return "".join([head, *made, *blocks])
