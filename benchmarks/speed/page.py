"""A run as Markdown, for docs/performance.md: no figure of that page is typed by hand.

A page has two lines of comment, `<!-- NAME -->` and `<!-- /NAME -->`, with what is made by a program between.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ALONE = "vaderSentiment alone"


def completed(told: dict[str, Any], others: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A run with the parts that failed in it as later runs have them."""
    whole = {**told, "failed": list(told["failed"]), "rows": list(told["rows"])}
    for other in others:
        areas = {row["area"] for row in other["rows"]}
        lacking = {failure.partition(":")[0] for failure in whole["failed"]} & areas
        whole["rows"] += [row for row in other["rows"] if row["area"] in lacking]
        whole["failed"] = [one for one in whole["failed"] if one.partition(":")[0] not in lacking]
    return whole


def run_of(told: dict[str, Any]) -> list[str]:
    """The tables of a run, from its JSON."""
    rounds = told["settings"]["rounds"]
    lines = [f"{source_of(told['input'])}; best of {rounds} rounds. {_machine(told)}", ""]
    if told["settings"]["quick"]:
        lines += ["**A short run, good only to see that all of it works.**", ""]
    lines += [line for failed in told["failed"] for line in (f"**Failed**: {failed}", "")]
    lines += ["| | | beside | got | goal | by CPU | |", "|---|---|---|---:|---:|---:|---|"]
    lines += [_row(row) for row in told["rows"]]
    if told["runs"]:
        lines += ["", "| ends in | contestant | posts/s | CPU, µs a post | all runs, posts/s |"]
        lines += ["|---|---|---:|---:|---|"]
        lines += [_contestant(name, runs) for name, runs in told["runs"].items()]
    return lines


def parts_of(parts: dict[str, float], what: str) -> list[str]:
    """The table of the chain's parts in CPU microseconds a post."""
    lines = [f"{what} rounds:", "", f"| part | CPU, µs a post | × {ALONE} |", "|---|---:|---:|"]
    return lines + [
        f"| {part} | {micros:.1f} | {parts[ALONE] / micros:.2f} |" for part, micros in parts.items()
    ]


def put(lines: list[str], name: str, page: Path | None) -> None:
    """Prints the lines, or puts them into the page. Raises SystemExit where it has no place for them."""
    if page is None:
        print("\n".join(lines))
        return
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    parts = re.split(f"({re.escape(begin)}|{re.escape(end)})", page.read_text(encoding="utf-8"))
    if parts[1::2] != [begin, end]:
        raise SystemExit(f"{page} has no lines {begin} and {end}, in this order, once each.")
    parts[2] = "\n" + "\n".join(lines) + "\n"
    page.write_text("".join(parts), encoding="utf-8")


def figure(value: float, unit: str) -> str:
    """As tables show it."""
    return f"{value:.2f}" if unit == "×" else f"{value:,.0f}"


def goal(row: dict[str, Any]) -> str:
    """What is to be reached, with its direction; empty without."""
    if row["goal"] is None:
        return ""
    return f"{'≤' if row['at_most'] else '≥'} {figure(row['goal'], row['unit'])}"


def source_of(about: dict[str, Any]) -> str:
    """Whose posts every contestant took."""
    share = about["by_customers"] * 100
    return f"{about['posts']:,} posts of {about['source']}, {share:.1f} % of them by customers"


def _row(row: dict[str, Any]) -> str:
    what = row["what"] if row["unit"] == "×" else f"{row['what']}, {row['unit']}"
    cpu = "" if row["cpu"] is None else f"{row['cpu']:.2f}"
    met = {True: "met", False: "**missed**", None: ""}[row["met"]]
    cells = (row["area"], what, row["beside"], figure(row["got"], row["unit"]), goal(row), cpu, met)
    return "| " + " | ".join(cells) + " |"


def _contestant(name: str, runs: list[dict[str, float]]) -> str:
    end, _, own = name.partition(": ")
    all_of = defaultdict(list)
    for run in runs:
        for key, value in run.items():
            all_of[key].append(value)
    every = " ".join(f"{rate:,}" for rate in all_of["posts_per_second"])
    return f"| {end} | {own} | {max(all_of['posts_per_second']):,} | {min(all_of['cpu_us']):.0f} | {every} |"


def _machine(told: dict[str, Any]) -> str:
    machine, minutes = told["machine"], told["seconds"]["all"] / 60
    packages = {**machine["packages"], **machine["peers"]}
    return (
        f"{machine['date']}, {minutes:.0f} minutes; {machine['processor']}, {machine['cores']} cores for"
        f" servers and contestants alike, {machine['memory_gib']} GiB, Linux {machine['kernel']},"
        f" Python {machine['python']}, Java {machine['java']}, Kafka {machine['kafka']},"
        f" Elasticsearch {machine['elasticsearch']}; load {machine['load_start']} at the start,"
        f" {machine['load_end']} at the end; "
        + ", ".join(f"{name} {number}" for name, number in packages.items() if name in NAMED)
        + "."
    )


NAMED = ("faust-streaming", "quixstreams", "vaderSentiment")
