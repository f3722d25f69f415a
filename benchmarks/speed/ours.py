"""Groundswell as it is measured: the shipped settings and steps, 1,000 aliases, 50 rules, 5,000 customers.

Brands and rules are those of `benchmarks/airlines`, or the shipped ones where the posts are the demo's,
filled up with made ones that no post meets, as most of a real team's rules are not met by most posts.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import configs
from testkit.shared import shared_folder

ALIASES = 1_000
RULES = 50
CUSTOMERS = 5_000
AIRLINES = Path(__file__).resolve().parent.parent / "airlines"
SHIPPED = Path(configs.__path__[0])
FILES = AIRLINES if shared_folder(Path(__file__)) else SHIPPED
"""What the posts speak of."""
OWN_AUTHORS = frozenset(
    one.get("author_id") or one["handle"]
    for one in tomllib.loads((FILES / "brands.toml").read_text(encoding="utf-8"))["own_accounts"]
)
"""Ours by the brands file, by id or by handle, so no customers."""


def write_settings(
    folder: Path, aliases: int = ALIASES, rules: int = RULES, names: Iterable[str] | None = None
) -> Path:
    """The settings file, with its brands and rules beside it. The made aliases are ``names``, else some that
    nobody says."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "brands.toml").write_text(_brands(aliases, names or unsaid()), encoding="utf-8")
    (folder / "routing.toml").write_text(_routing(rules), encoding="utf-8")
    path = folder / "groundswell.toml"
    path.write_text(
        '[enrichers.direction]\nfile = "brands.toml"\n'
        '[enrichers.entities]\nfile = "brands.toml"\n'
        '[enrichers.route]\nfile = "routing.toml"\n',
        encoding="utf-8",
    )
    return path


def unsaid() -> Iterable[str]:
    """Names of words that no post holds, each of other words, without end."""
    number = 0
    while True:
        yield f"Quorvex{number} Plimwood{number}"
        number += 1


def _brands(aliases: int, names: Iterable[str]) -> str:
    text = (FILES / "brands.toml").read_text(encoding="utf-8")
    entities = tomllib.loads(text)["entities"]
    there = sum(
        len(e.get("aliases", ())) + sum(len(g["aliases"]) for g in e.get("guarded", ())) for e in entities
    )
    wanted = list(islice(names, max(aliases - there, 0)))
    made = [
        f'[[entities]]\nid = "product:made-{at}"\nname = "{wanted[at]}"\nkind = "product"\n'
        f"aliases = {json.dumps(wanted[at : at + 5])}\n"
        for at in range(0, len(wanted), 5)
    ]
    # Own accounts stand at the end of the file: entities may follow them.
    return "\n".join([text, *made])


def _routing(rules: int) -> str:
    text = (FILES / "routing.toml").read_text(encoding="utf-8")
    there, queue = text.count("[[rules]]"), next(iter(tomllib.loads(text)["queues"]))
    shapes = (
        'source = "x" and text contains "wort{n}" and complaint.probability >= 0.6',
        'entities.id = "product:made-{five}" and sentiment.compound < -0.3',
        'text contains any of ("phrase{n} one", "other{n} words", "third{n}")',
        'complaint.category = "account" and complaint.urgency >= 0.8 and text contains "code{n}"',
    )
    made = [
        f'[[rules]]\nid = "made-{n}"\nqueue = "{queue}"\nwhen = \'{shapes[n % 4].format(n=n, five=n * 5)}\'\n'
        for n in range(max(rules - there, 0))
    ]
    # Before the others: the first rule that holds ends the search, and these never hold.
    head, *blocks = re.split(r"(?m)^(?=\[\[rules\]\])", text)
    return "".join([head, *made, *blocks])
