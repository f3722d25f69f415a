"""The dashboard is one that Grafana 10 to 12 import, and asks only for what the code has.

Grafana itself is in no package that tests could install, so what it demands stands here as rules.
"""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.standing import STATES
from pipeline.core.metrics import ALL
from testkit.monitoring.rules import OURS_TOO, judged, promtool, selectors

FOLDER = Path(__file__).parents[2] / "configs" / "monitoring"
BOARD: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
KNOWN = {metric.name: metric for metric in ALL}
OF_GRAFANA = {"$__rate_interval": "5m", "$role": ".*"}
# Of Grafana's own, in every edition from 10 on.
TYPES = {"row", "stat", "timeseries", "state-timeline", "table"}


def titled(panel: dict[str, Any]) -> str:
    return f"{panel['id']}-{panel['title']}"


def expressions() -> list[str]:
    asked = [target["expr"] for panel in SHOWN for target in panel["targets"]]
    return [*asked, *(variable["definition"] for variable in variables() if variable["type"] == "query")]


def variables() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = BOARD["templating"]["list"]
    return found


def test_it_is_importable() -> None:
    # From 36 (Grafana 9) to 41 (12); Grafana lifts what is older than its own.
    assert 36 <= BOARD["schemaVersion"] <= 41
    assert BOARD["title"] == "Groundswell"
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", BOARD["uid"])
    assert "id" not in BOARD, "the number is the server's to give"
    assert "__inputs" not in BOARD, "the source of the data is a variable"
    assert [one["id"] for one in PANELS] == list(range(1, len(PANELS) + 1))
    assert {one["type"] for one in PANELS} <= TYPES


def test_every_source_of_data_is_the_variable() -> None:
    assert variables()[0]["type"] == "datasource"
    assert variables()[0]["query"] == "prometheus"
    name = variables()[0]["name"]
    for panel in SHOWN:
        for one in [panel, *panel["targets"]]:
            assert one["datasource"] == {"type": "prometheus", "uid": f"${{{name}}}"}


def test_panels_lie_beside_each_other_without_gaps_above() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    for place in places:
        assert place["w"] > 0
        assert place["h"] > 0
        assert 0 <= place["x"] <= 24 - place["w"]
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    covered = {line for place in places for line in range(place["y"], place["y"] + place["h"])}
    assert covered == set(range(max(covered) + 1))


@pytest.mark.parametrize("panel", SHOWN, ids=titled)
def test_a_panel_is_whole(panel: dict[str, Any]) -> None:
    assert panel["title"]
    refs = [target["refId"] for target in panel["targets"]]
    assert refs
    assert len(set(refs)) == len(refs)
    for target in panel["targets"]:
        # A legend names labels that the series still has.
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            grouped = re.search(r"by \(([^)]*)\)", target["expr"])
            names = {series(name) for name, _ in selectors(target["expr"])}
            kept = (
                set(grouped[1].split(", "))
                if grouped
                else {*OURS_TOO}.union(*(KNOWN[n].labels for n in names))
            )
            assert label in kept, (target["expr"], label)


def series(name: str) -> str:
    return re.sub(r"_bucket\Z", "", name)


@pytest.mark.parametrize("expression", expressions())
def test_it_asks_only_for_what_the_code_has(expression: str) -> None:
    found = list(selectors(expression))
    assert found
    for name, labels in found:
        metric = KNOWN[series(name)]
        assert labels <= {*metric.labels, *OURS_TOO, "le"}
        assert name.endswith("_bucket") == (metric.kind == "histogram")
        if metric.kind == "counter":
            assert re.search(rf"(rate|increase)\({name}\b", expression), "a counter alone says nothing"
    for state in re.findall(r'state=~?"([^"]+)"', expression):
        assert set(state.split("|")) <= set(STATES)


@pytest.mark.skipif(
    promtool() is None, reason="promtool is not installed: apt-get install prometheus (.ci/run does)"
)
def test_prometheus_understands_every_expression(tmp_path: Any) -> None:
    rules = []
    for number, expression in enumerate(one for one in expressions() if "label_values" not in one):
        plain = expression
        for word, meant in OF_GRAFANA.items():
            plain = plain.replace(word, meant)
        assert "$" not in plain
        rules.append({"record": f"panel:{number}", "expr": plain})
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = judged("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_is_shown() -> None:
    shown = {series(name) for expression in expressions() for name, _ in selectors(expression)}
    assert KNOWN.keys() - shown == set()
