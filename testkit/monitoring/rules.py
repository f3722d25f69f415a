"""Alert rules as they stand in their file, and promtool as it judges them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from testkit.monitoring.cases import Case

NAME = re.compile(r"\b(groundswell_[a-z_]+|up)\b")
SELECTOR = re.compile(r"\b(groundswell_[a-z_]+|up)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
OURS_TOO = {"instance", "job", "pod"}
"""Labels that Prometheus gives to all series of a target."""


class Rule(Struct, frozen=True):
    """An alert."""

    alert: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    lasts: str = msgspec.field(name="for", default="0s")


def rules(path: Path) -> list[Rule]:
    """All alerts of the file."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return [msgspec.convert(rule, Rule) for group in groups for rule in group["rules"]]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The series that an expression asks for, each with the labels that it picks them by."""
    for name, matchers in SELECTOR.findall(expression):
        yield name, set(_MATCHER.findall(matchers))


def promtool() -> str | None:
    """Where it is; None where it is not installed (Debian's package `prometheus` has it)."""
    return shutil.which("promtool")


def seconds(lasting: str) -> int:
    """How long a rule waits: ``30s``, ``10m``, ``1h``."""
    return int(lasting[:-1]) * {"s": 1, "m": 60, "h": 3600}[lasting[-1]]


def too_soon(alerts: Path, rule: Rule, case: Case) -> dict[str, Any]:
    """A case looked at a minute before its alert can fire, however soon its reason was there."""
    test = _test(rule, case)
    (asked,) = test["promql_expr_test"]
    asked |= {"eval_time": f"{max(seconds(rule.lasts) - 60, 0)}s", "exp_samples": []}
    return {"rule_files": [str(alerts)], "evaluation_interval": "1m", "tests": [test]}


def unit_test(alerts: Path, rule: Rule, cases: Sequence[Case]) -> dict[str, Any]:
    """The file of `promtool test rules` for the cases of a rule of the file ``alerts``."""
    return {
        "rule_files": [str(alerts)],
        "evaluation_interval": "1m",
        "tests": [_test(rule, case) for case in cases],
    }


def _test(rule: Rule, case: Case) -> dict[str, Any]:
    # By the labels that a message may need: the others of a series do not matter.
    names = sorted({name for labels in case.fires for name in labels} | set(rule.labels))
    wanted = [{"labels": _labels({**rule.labels, **one}), "value": 1} for one in case.fires]
    fired = f'ALERTS{{alertname="{rule.alert}",alertstate="firing"}}'
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": f"count by ({', '.join(names)}) ({fired})",
                "eval_time": f"{case.minutes}m",
                "exp_samples": wanted,
            }
        ],
    }


def _labels(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def judged(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What promtool says."""
    tool = promtool()
    assert tool is not None
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=120, check=False)
