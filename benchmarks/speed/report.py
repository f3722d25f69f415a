"""The figures as one table of ratios, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from contestants import Contestant, Figure


def report(
    chosen: list[Contestant],
    figures: dict[str, list[Figure]],
    posts: int,
    latency: dict[str, dict[str, float]],
    path: Path | None,
) -> None:
    """Prints the best run of each, beside each peer that ends in the same place."""
    rows = [_row(contestant, figures[f"{contestant.ends_in}: {contestant.name}"]) for contestant in chosen]
    for row in rows:
        if row["ours"]:
            peers = [peer for peer in rows if not peer["ours"] and peer["ends_in"] == row["ends_in"]]
            row["ratios"] = {peer["name"]: round(row["rate"] / peer["rate"], 2) for peer in peers}
            row["cpu_ratios"] = {peer["name"]: round(peer["cpu"] / row["cpu"], 2) for peer in peers}
    machine = describe()
    print(f"{posts:,} posts; best of {len(rows[0]['rates'])}; {machine['text']}")
    print(f"{'ends in':<8} {'contestant':<34} {'posts/s':>8} {'CPU µs':>7}")
    for row in rows:
        print(f"{row['ends_in']:<8} {row['name']:<34} {row['rate']:>8,} {row['cpu']:>7.0f}")
    print("ours against each peer: × posts a second (× posts a second of CPU, the servers' not counted)")
    for row in rows:
        for peer, ratio in row["ratios"].items():
            cpu = row["cpu_ratios"][peer]
            print(f"{row['ends_in']:<8} {row['name']:<34} {ratio:>6.2f} ({cpu:.2f})  {peer}")
    for place, shares in latency.items():
        told = ", ".join(f"{name} {value:.0f} ms" for name, value in shares.items())
        print(f"latency  {place:<34} {told}")
    if path is not None:
        path.write_text(
            json.dumps({"posts": posts, "machine": machine, "rows": rows, "latency": latency}, indent=1)
            + "\n"
        )


def _row(contestant: Contestant, runs: list[Figure]) -> dict[str, Any]:
    best = max(runs, key=lambda run: run.rate)
    return {
        "ends_in": contestant.ends_in,
        "name": contestant.name,
        "ours": contestant.ours,
        "rate": round(best.rate),
        "cpu": round(min(run.cpu for run in runs), 1),
        "rates": [round(run.rate) for run in runs],
        "ratios": {},
        "cpu_ratios": {},
    }


def describe() -> dict[str, Any]:
    """The machine, in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    found = {
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 1),
    }
    found["text"] = (
        f"{found['cores']} cores ({found['processor']}) for servers and contestants, {memory} GiB,"
        f" Python {found['python']}"
    )
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
