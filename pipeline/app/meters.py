"""Prometheus meters for the metrics of the core's table: a registry a process, none global."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from pipeline.core.metrics import ALL, Metric

log = logging.getLogger("groundswell.meters")


class Meters:
    """The meters of one process."""

    def __init__(self) -> None:
        # Prometheus does not use them, and they are a third of the page.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._meters: dict[str, Counter | Gauge | Histogram] = {m.name: self._make(m) for m in ALL}
        self._asked: list[Callable[[], None]] = []

    def _make(self, metric: Metric) -> Counter | Gauge | Histogram:
        if metric.kind == "counter":
            return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)
        if metric.kind == "gauge":
            return Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry)
        return Histogram(
            metric.name, metric.meaning, metric.labels, buckets=metric.buckets, registry=self.registry
        )

    def count(self, metric: Metric, amount: float, *labels: str) -> None:
        """Adds to a counter."""
        meter = self._meters[metric.name]
        assert isinstance(meter, Counter)
        meter.labels(*labels).inc(amount)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge."""
        meter = self._meters[metric.name]
        assert isinstance(meter, Gauge)
        meter.labels(*labels).set(value)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Enters one value into a histogram."""
        meter = self._meters[metric.name]
        assert isinstance(meter, Histogram)
        meter.labels(*labels).observe(value)

    def forget(self, metric: Metric, *labels: str) -> None:
        """This process has no say in these labels any longer."""
        with suppress(KeyError):
            self._meters[metric.name].remove(*labels)

    def before_each_page(self, ask: Callable[[], None]) -> None:
        """Has meters set that are worth looking up only when somebody asks. Called by any thread."""
        self._asked.append(ask)

    def page(self) -> bytes:
        """The text that Prometheus scrapes."""
        for ask in self._asked:
            try:
                ask()
            except Exception as error:
                # The other numbers are worth as much.
                log.warning("a metric cannot be told: %r", error)
        return generate_latest(self.registry)
