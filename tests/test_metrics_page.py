"""docs/metrics.md says what the table of metrics says, in both directions."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.app.meters import Meters
from pipeline.core.metrics import ALL, BATCH_SECONDS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, ...]]:
    found = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len({row[0] for row in found}) == len(found)
    return {row[0]: row[1:] for row in found}


def test_the_page_lists_the_metrics_and_no_others() -> None:
    assert rows() == {
        metric.name: (
            metric.kind,
            metric.unit,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.meaning,
        )
        for metric in ALL
    }


def test_every_name_on_the_page_is_a_metric() -> None:
    named = set(re.findall(r"\bgroundswell_[a-z_]+", PAGE.read_text(encoding="utf-8")))
    assert named == {metric.name for metric in ALL}


def test_the_page_tells_the_buckets() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    told = re.search(r"end at (.+?) ms and at (.+?) s\.", text)
    assert told
    small, large = (re.findall(r"[\d.]+", part) for part in told.groups())
    buckets = [float(bound) / 1000 for bound in small] + [float(bound) for bound in large]
    assert tuple(buckets) == BATCH_SECONDS.buckets


def test_what_is_scraped_bears_those_names() -> None:
    scraped = re.findall(r"^# TYPE (\S+) (\S+)$", Meters().page().decode(), re.MULTILINE)
    assert sorted(scraped) == sorted((name, kind) for name, (kind, *_) in rows().items())
