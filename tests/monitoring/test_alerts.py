"""Each alert fires when it should and is quiet when it should be, by Prometheus' own judgement, and names
only series and labels that the code has."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from pipeline.app.health import ROLES
from pipeline.app.standing import STATES
from pipeline.core.metrics import ALL
from pipeline.core.settings import HttpSettings
from testkit.monitoring.cases import CASES
from testkit.monitoring.rules import (
    OURS_TOO,
    Rule,
    judged,
    promtool,
    rules,
    seconds,
    selectors,
    too_soon,
    unit_test,
)

needs_promtool = pytest.mark.skipif(
    promtool() is None, reason="promtool is not installed: apt-get install prometheus (.ci/run does)"
)
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "monitoring"
ALERTS = FOLDER / "prometheus-alerts.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
KNOWN = {metric.name: metric for metric in ALL}
RULES = {rule.alert: rule for rule in rules(ALERTS)}


def series_of(name: str) -> str:
    """The metric of a series: those of a histogram have names of their own."""
    return re.sub(r"_(bucket|sum|count)\Z", "", name) if name not in KNOWN else name


@pytest.mark.skipif("CI" not in os.environ, reason="only where all must be tested")
def test_nothing_is_skipped_for_want_of_promtool() -> None:
    assert promtool() is not None, ".ci/run installs the package prometheus"


@needs_promtool
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.alert)
def test_it_fires_when_it_should_and_only_then(rule: Rule, tmp_path: Path) -> None:
    cases = [case for case in CASES if case.alert == rule.alert]
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(unit_test(ALERTS, rule, cases)))
    done = judged("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    "rule", [one for one in RULES.values() if seconds(one.lasts)], ids=lambda one: one.alert
)
def test_nobody_is_woken_before_its_time(rule: Rule, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.alert == rule.alert and case.fires)
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(too_soon(ALERTS, rule, case)))
    done = judged("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.alert)
def test_it_is_tried_both_ways(rule: Rule) -> None:
    cases = [case for case in CASES if case.alert == rule.alert]
    assert any(case.fires for case in cases)
    assert any(not case.fires and case.series for case in cases)


def test_no_case_is_of_an_alert_that_is_not_there() -> None:
    assert {case.alert for case in CASES} == RULES.keys()
    assert len(rules(ALERTS)) == len(RULES), "an alert is there twice"


@needs_promtool
def test_a_case_that_expects_too_much_is_found_out(tmp_path: Path) -> None:
    """The test of the tests: promtool does see a difference."""
    quiet = next(case for case in CASES if not case.fires)
    file = tmp_path / "test.yml"
    wrong = unit_test(ALERTS, RULES[quiet.alert], [quiet])
    wrong["tests"][0]["promql_expr_test"][0]["exp_samples"] = [{"labels": "{}", "value": 1}]
    file.write_text(json.dumps(wrong))
    assert judged("test", "rules", str(file)).returncode != 0


@needs_promtool
def test_promtool_takes_rules_and_configurations() -> None:
    assert judged("check", "rules", str(ALERTS)).returncode == 0
    done = judged("check", "config", str(FOLDER / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_for_kubernetes_finds_the_pods_of_the_manifests() -> None:
    """Not by promtool: Debian's is built without Kubernetes."""
    (job,) = yaml.safe_load((FOLDER / "prometheus-kubernetes.yml").read_text())["scrape_configs"]
    assert job["job_name"] == "groundswell"
    keep = job["relabel_configs"][0]
    assert keep["source_labels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
    for name in ("20-collect.yaml", "30-enrich.yaml", "40-index.yaml"):
        manifest = (FOLDER.parent / "deploy" / "kubernetes" / name).read_text(encoding="utf-8")
        assert f"app.kubernetes.io/name: {keep['regex']}," in manifest


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.alert)
def test_it_asks_only_for_what_the_code_has(rule: Rule) -> None:
    found = list(selectors(rule.expr))
    assert found
    for name, labels in found:
        if name == "up":
            continue
        metric = KNOWN[series_of(name)]
        assert (name.endswith("_bucket")) == (metric.kind == "histogram")
        assert labels <= {*metric.labels, *OURS_TOO, "le"}
    for grouped in re.findall(r"by \(([^)]*)\)", rule.expr):
        labels = {label.strip() for label in grouped.split(",")}
        assert any(
            labels <= {*KNOWN[series_of(name)].labels, *OURS_TOO, "le"} for name, _ in found if name != "up"
        )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{case.minutes}")
def test_a_case_plays_only_what_the_code_has(case) -> None:  # type: ignore[no-untyped-def]
    for series in case.series:
        for name, labels in selectors(series):
            if name not in ("up",):
                assert labels <= {*KNOWN[series_of(name)].labels, *OURS_TOO, "le"}, series


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.alert)
def test_it_says_what_whoever_is_woken_needs(rule: Rule) -> None:
    assert rule.labels["severity"] in ("critical", "warning")
    assert {"summary", "description", "runbook_url"} == rule.annotations.keys()
    assert rule.annotations["runbook_url"] == f"docs/runbook.md#{rule.alert.lower()}"
    assert re.search(rf"^## {rule.alert}$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    told = set(re.findall(r"\$labels\.([a-z_]+)", " ".join(rule.annotations.values())))
    aggregated = re.match(r"\s*(?:max|sum|count)\s*(?:by \(([^)]*)\))?", rule.expr)
    if aggregated:
        kept = {label.strip() for label in (aggregated[1] or "").split(",")}
        assert told <= kept, "an aggregate has only the labels that it is by"
    elif rule.expr.startswith("absent"):
        assert told <= {"role"}
    else:
        names = [series_of(name) for name, _ in selectors(rule.expr) if name != "up"]
        kept = {label for name in names for label in KNOWN[name].labels}
        assert told <= kept | OURS_TOO


def test_states_parts_and_roles_that_rules_name_are_those_of_the_code() -> None:
    text = ALERTS.read_text(encoding="utf-8")
    roles = {one for found in re.findall(r'role=~?"([^"]+)"', text) for one in found.split("|")}
    assert roles == set(ROLES)
    states = {one for found in re.findall(r'state=~?"([^"]+)"', text) for one in found.split("|")}
    assert states <= set(STATES)


def test_the_example_scrapes_the_pages_that_the_roles_have() -> None:
    ports = re.findall(r"127\.0\.0\.1:(\d+) # (\w+)", (FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert [(int(port), role) for port, role in ports] == [
        (HttpSettings().port + number, role) for number, role in enumerate(ROLES)
    ]
