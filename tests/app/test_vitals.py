"""What a process tells of itself, of the roles beside it, of the age of what waits, and of the queues."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.app import notes, supervision, vitals
from pipeline.app.ages import Ages
from pipeline.app.batch_driver import RecordBatch
from pipeline.app.cases.counting import CaseCounts
from pipeline.app.cases.listing import CaseList, Total
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.refusal import TALLY
from pipeline.app.site import Site
from pipeline.app.supervision import Supervised
from pipeline.core.ledger import Lane
from pipeline.core.metrics import IN_HAND
from pipeline.core.settings import Settings

NOW = 1_700_000_000.0
AT = ("posts", 1)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Settings(), tmp_path, Health("enrich", Meters()))


def value(site: Site, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", site.health.meters.page().decode(), re.MULTILINE)
    return float(found[1]) if found else None


def batch(first: float, last: float) -> RecordBatch:
    lane = Lane()
    records = [SimpleNamespace(timestamp=moment * 1000) for moment in (first, last)]
    return RecordBatch(*AT, cast(list[Any], records), lane, lane.begin(0, 2))


def test_a_process_tells_its_version_start_memory_and_time(site: Site) -> None:
    vitals.tell_vitals(site)
    page = site.health.meters.page().decode()
    assert re.search(r'^groundswell_build_info\{role="enrich",version="[^"]+"\} 1\.0$', page, re.MULTILINE)
    assert value(site, 'groundswell_started_seconds{role="enrich"}') == pytest.approx(notes.own_start())
    memory = value(site, 'groundswell_memory_bytes{role="enrich"}')
    assert memory is not None
    assert 10_000_000 < memory < 4_000_000_000
    before = value(site, 'groundswell_cpu_seconds_total{role="enrich"}')
    sum(number * number for number in range(3_000_000))
    after = value(site, 'groundswell_cpu_seconds_total{role="enrich"}')
    assert before is not None
    assert after is not None
    assert before < after < before + 60


def test_refusals_are_told_by_stage_and_reason_each_once(site: Site) -> None:
    TALLY.take()
    vitals.tell_vitals(site)
    for reason in ("invalid", "invalid", "too_big"):
        TALLY.note("enrich", reason)
    series = 'groundswell_refusals_total{reason="invalid",role="enrich",stage="enrich"}'
    assert value(site, series) == 2
    assert value(site, series) == 2


def test_those_that_live_tell_of_a_role_that_is_parked(site: Site) -> None:
    vitals.tell_vitals(site)
    parked = Supervised("index", os.getpid(), notes.own_start(), "parked", 10, "no right")
    supervision.note(site.home, parked)
    assert value(site, 'groundswell_role_parked{role="index"}') == 1
    assert value(site, 'groundswell_role_deaths{role="index"}') == 10
    supervision.forget(site.home, "index")
    assert value(site, 'groundswell_role_parked{role="index"}') is None


def test_a_number_that_cannot_be_had_costs_the_others_nothing(site: Site) -> None:
    def fails() -> None:
        raise OSError("no such file")

    site.health.meters.before_each_page(fails)
    site.health.meters.set(IN_HAND, 3, "enrich")
    assert value(site, 'groundswell_batches_in_hand{role="enrich"}') == 3


def test_each_part_that_is_waited_for_has_its_flag(site: Site) -> None:
    site.health.works("kafka")
    assert value(site, 'groundswell_waiting{part="kafka",role="enrich"}') is None
    site.health.waits("kafka", "no answer")
    site.health.waits("stall", "no progress")
    site.health.works("kafka")
    assert value(site, 'groundswell_waiting{part="kafka",role="enrich"}') == 0
    assert value(site, 'groundswell_waiting{part="stall",role="enrich"}') == 1
    assert value(site, 'groundswell_ready{role="enrich"}') == 0


def test_the_age_is_that_of_the_oldest_record_in_hand() -> None:
    ages = Ages()
    old, new = batch(NOW - 100, NOW - 90), batch(NOW - 80, NOW - 70)
    ages.began(old)
    ages.began(new)
    assert ages.oldest(AT, 4, NOW) == pytest.approx(100)
    ages.ended(old)
    assert ages.oldest(AT, 2, NOW) == pytest.approx(80)
    ages.ended(new)
    assert ages.oldest(AT, 0, NOW) == 0


def test_before_anything_is_fetched_the_age_grows_from_the_first_look() -> None:
    ages = Ages()
    assert ages.oldest(AT, 5, NOW) == 0
    assert ages.oldest(AT, 5, NOW + 30) == 30


def test_a_record_after_a_long_silence_is_not_taken_for_old() -> None:
    ages = Ages()
    first = batch(NOW - 7200, NOW - 7200)
    ages.began(first)
    ages.ended(first)
    assert ages.oldest(AT, 0, NOW - 7000) == 0
    assert ages.oldest(AT, 1, NOW) == 0
    assert ages.oldest(AT, 1, NOW + 2) == 2


def test_between_batches_of_a_backlog_the_age_is_that_of_the_last_one_done() -> None:
    ages = Ages()
    first = batch(NOW - 500, NOW - 300)
    assert ages.oldest(AT, 10, NOW - 400) == 0
    ages.began(first)
    ages.ended(first)
    assert ages.oldest(AT, 8, NOW) == pytest.approx(300)


def test_a_partition_that_went_elsewhere_is_forgotten() -> None:
    ages = Ages()
    ages.oldest(AT, 0, NOW)
    assert ages.left_by({AT: None}) == []
    assert ages.left_by({}) == [AT]
    assert ages.left_by({}) == []


class Queues:
    """Stands for the index of cases: what `CaseList.totals` answers, tested where that is."""

    def __init__(self) -> None:
        self.found: Sequence[Total] = ()

    def totals(self, _now: datetime) -> Sequence[Total]:
        return self.found


def test_a_queue_that_is_empty_again_has_no_cases(site: Site) -> None:
    queues = Queues()
    counts = CaseCounts(cast(CaseList, queues), site)
    queues.found = [Total("billing", 5, 3, 2)]
    counts.count(datetime.now(UTC))
    assert value(site, 'groundswell_cases_open{queue="billing"}') == 5
    assert value(site, 'groundswell_cases_unassigned{queue="billing"}') == 3
    assert value(site, 'groundswell_cases_late{queue="billing"}') == 2
    queues.found = []
    counts.count(datetime.now(UTC))
    assert value(site, 'groundswell_cases_late{queue="billing"}') == 0
