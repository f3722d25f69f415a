"""The machine and what runs on it, for whoever wants to hold two runs against each other."""

from __future__ import annotations

import os
import platform
import subprocess
import textwrap
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import HERE, Bench

from pipeline.embedded.artifacts import read_lock

OURS = ("faust-streaming", "aiokafka", "confluent-kafka", "elasticsearch", "msgspec", "pycld2", "lmdb")
PEERS = ("faust-streaming", "aiokafka", "quixstreams", "confluent-kafka", "elasticsearch", "vaderSentiment")


def describe(bench: Bench) -> dict[str, Any]:
    """Everything but the load, which changes."""
    node = next(iter(bench.client.nodes.info(metric=["jvm"])["nodes"].values()))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "java": node["jvm"]["version"],
        "elasticsearch": node["version"],
        "kafka": read_lock()["kafka"].version,
        "packages": {name: version(name) for name in OURS},
        "peers": _peers(bench.peers),
    }


def load() -> float:
    """How many processes wanted a core, on the average of the last minute."""
    return round(os.getloadavg()[0], 1)


def told(machine: dict[str, Any]) -> list[str]:
    """The same as lines of at most 100 characters."""
    packages, peers = (
        ", ".join(f"{name} {number}" for name, number in machine[key].items())
        for key in ("packages", "peers")
    )
    head = (
        f"{machine['processor']}, {machine['cores']} cores for servers and contestants alike,"
        f" {machine['memory_gib']} GiB, Linux {machine['kernel']}, Python {machine['python']},"
        f" Java {machine['java']}, Kafka {machine['kafka']}, Elasticsearch {machine['elasticsearch']};"
        f" load {machine['load_start']} at the start, {machine['load_end']} at the end"
    )
    parts = (("machine", head), ("ours", packages), ("peers", peers or "none"))
    return [line for name, text in parts for line in _wrapped(name, text)]


def _wrapped(name: str, text: str) -> list[str]:
    return textwrap.wrap(f"{name:<10}{text}", 100, subsequent_indent=" " * 10, drop_whitespace=True)


def _peers(python: Path) -> dict[str, str]:
    if not python.exists():
        return {}
    code = f"import importlib.metadata as m; print(*[m.version(n) for n in {PEERS!r}])"
    found = subprocess.run([str(python), "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=HERE)
    return dict(zip(PEERS, found.stdout.split(), strict=True))


def processor() -> str:
    """Its name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
