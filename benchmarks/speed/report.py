"""The one table of ratios with their goals, what stands behind it, and the same as JSON."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import machine as machines
from contestants import Contestant, Figure
from msgspec import Struct
from msgspec.structs import asdict
from page import figure, goal, source_of
from rows import Best, Row

ROUGH = "a short run: figures of a few seconds, good only to see that all of it works"


class Measured(Struct, frozen=True):
    """All of a run. ``failed`` says what could not be measured, ``about`` whose posts were the input,
    ``seconds`` what each part took; ``settings`` are the sizes that were asked for."""

    rows: list[Row]
    figures: dict[str, list[Figure]]
    chosen: list[Contestant]
    failed: list[str]
    about: dict[str, Any]
    seconds: dict[str, float]
    machine: dict[str, Any]
    settings: dict[str, Any]


def report(found: Measured, path: Path) -> None:
    """Prints it, and writes the JSON."""
    print()
    print(f"{source_of(found.about)}; {found.seconds['all'] / 60:.0f} minutes")
    for line in found.failed:
        print("\n".join(textwrap.wrap(f"FAILED: {line}", 100, break_on_hyphens=False)))
    parts = (table(found.rows), contestants(found.figures, found.chosen), machines.told(found.machine))
    for part in parts:
        print("\n".join(part), end="\n\n" if part else "")
    if found.settings["quick"]:
        print(ROUGH)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(found), encoding="utf-8")
    print(f"also in {path}")


def table(rows: list[Row]) -> list[str]:
    """One line a row, of at most 100 characters."""
    lines = [f"{'':<55}{'beside':<18}{'got':>7}{'goal':>7}  by CPU"]
    lines += [_line(row) for row in rows]
    missed = sum(row.met is False for row in rows)
    lines.append(f"{sum(row.met is True for row in rows)} goals met, {missed} missed")
    return lines


def _line(row: Row) -> str:
    wanted = goal(asdict(row)).replace(" ", "")
    met = {True: "met", False: "MISSED", None: ""}[row.met]
    what = row.what if row.unit == "×" else f"{row.what}, {row.unit}"
    cpu = "" if row.cpu is None else f"{row.cpu:.2f}"
    beside = row.beside.removesuffix(" alone")
    line = f"{row.area:<10}{what:<45}{beside:<18}{figure(row.got, row.unit):>7}{wanted:>7}"
    return f"{line}  {cpu:<5}{met}".rstrip()


def contestants(figures: dict[str, list[Figure]], chosen: list[Contestant]) -> list[str]:
    """The figures behind the ratios."""
    lines = [f"{'ends in':<10}{'contestant':<34}{'posts/s':>9}{'CPU, µs a post':>16}   all runs, posts/s"]
    for contestant in chosen:
        if runs := figures.get(contestant.full):
            best = Best(contestant, runs)
            every = " ".join(f"{run.rate:,.0f}" for run in runs)
            lines.append(
                f"{contestant.ends_in:<10}{contestant.name:<34}{best.rate:>9,.0f}{best.cpu:>16.0f}   {every}"
            )
    return lines if len(lines) > 1 else []


def as_json(found: Measured) -> str:
    """Everything, the runs one by one too."""
    told = {
        "failed": found.failed,
        "input": found.about,
        "machine": found.machine,
        "seconds": found.seconds,
        "settings": found.settings,
        "rows": [{**asdict(row), "got": round(row.got, 3), "met": row.met} for row in found.rows],
        "runs": {
            name: [{"posts_per_second": round(run.rate), "cpu_us": round(run.cpu, 1)} for run in runs]
            for name, runs in found.figures.items()
        },
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"
