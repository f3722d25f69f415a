"""What every process tells of itself whatever its role: version, start, memory, processor time, what was
refused, and how the roles below the same supervisor stand. Looked up when the page is asked for.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

import psutil

from pipeline.app import notes, supervision
from pipeline.app.producer import Producer
from pipeline.app.refusal import TALLY
from pipeline.app.site import Site
from pipeline.core import metrics


def tell_vitals(site: Site) -> None:
    """Has the pages of this process tell them from now on."""
    role, meters = site.health.role, site.health.meters
    process = psutil.Process(os.getpid())
    meters.set(metrics.BUILD, 1, role, _version())
    meters.set(metrics.STARTED, notes.own_start(), role)
    used = 0.0
    told: set[str] = set()

    def ask() -> None:
        nonlocal used
        memory = process.memory_info()
        # Where the system does not tell what is shared, all counts.
        meters.set(metrics.MEMORY, memory.rss - getattr(memory, "shared", 0), role)
        times = process.cpu_times()
        meters.count(metrics.CPU, max(times.user + times.system - used, 0.0), role)
        used = times.user + times.system
        for (stage, reason), count in TALLY.take().items():
            meters.count(metrics.REFUSALS, count, role, stage, reason)
        _tell_roles(site, told)

    meters.before_each_page(ask)


def tell_queue(site: Site, producer: Producer) -> None:
    """Has the pages tell how much this producer waits for."""
    health = site.health
    health.meters.before_each_page(
        lambda: health.meters.set(metrics.PRODUCER_QUEUE, producer.waiting, health.role)
    )


def _tell_roles(site: Site, told: set[str]) -> None:
    """As the supervisors' notes have it; of those that are gone nothing is told any longer."""
    meters = site.health.meters
    found = {one.role: one for one in supervision.supervised(site.home)}
    for name in told - found.keys():
        meters.forget(metrics.ROLE_DEATHS, name)
        meters.forget(metrics.ROLE_PARKED, name)
    for name, one in found.items():
        meters.set(metrics.ROLE_DEATHS, one.deaths, name)
        meters.set(metrics.ROLE_PARKED, one.state == "parked", name)
    told.clear()
    told.update(found)


def _version() -> str:
    try:
        return version("groundswell")
    except PackageNotFoundError:
        return "unknown"
