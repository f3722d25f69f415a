"""The runbook has each alert, in the order of the rules, in one form; what it asks people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipeline.app.health import ROLES
from pipeline.cli.main import parser
from pipeline.core.metrics import ALL
from pipeline.core.schema import settings_of
from pipeline.core.settings import HttpSettings, Settings
from testkit.monitoring.rules import rules

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "configs" / "monitoring" / "prometheus-alerts.yml"
PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
_PARTS = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
BEFORE, SECTIONS = _PARTS[0], dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))
FORM = ["Means.", "Look.", "Do.", "Don't."]


def typed() -> list[str]:
    """The calls of our own command, in blocks and within sentences."""
    blocks = "\n".join(re.findall(r"```\n(.+?)\n```", PAGE, re.DOTALL))
    inline = "\n".join(re.findall(r"`([^`\n]+)`", PAGE))
    ours = r"(?:^|[\s=0-9])(?<!--namespace )(?<!--unit )groundswell ([^#|\n]+)"
    calls = re.findall(ours, f"{blocks}\n{inline}", re.MULTILINE)
    return sorted({call.strip() for call in calls if not call.startswith("--since")})


def test_each_alert_has_its_section_in_the_order_of_the_rules() -> None:
    assert list(SECTIONS) == [rule.alert for rule in rules(ALERTS)]


@pytest.mark.parametrize("alert", SECTIONS)
def test_a_section_has_the_form_of_all(alert: str) -> None:
    section = SECTIONS[alert]
    assert re.findall(r"^\*\*([^*]+)\*\*", section, re.MULTILINE) == FORM
    look = section.split("**Look.**")[1].split("**Do.**")[0]
    assert re.search(r"^```\n.+\n```$", look, re.MULTILINE | re.DOTALL), "commands to copy"


@pytest.mark.parametrize("call", typed())
def test_the_command_line_takes_what_it_asks_people_to_type(call: str) -> None:
    if call == "--version":
        return
    parser().parse_args(shlex.split(call))


def test_the_pages_that_it_asks_are_there() -> None:
    ports = {HttpSettings().port + number for number, _ in enumerate(ROLES)}
    asked = re.findall(r"127\.0\.0\.1:(\d+)/(\w+)", PAGE)
    assert {int(port) for port, _ in asked} <= ports
    assert {page for _, page in asked} <= {"healthz", "readyz", "status", "metrics"}


def test_what_it_looks_for_among_the_metrics_is_there() -> None:
    names = [metric.name for metric in ALL]
    for pattern in re.findall(r"/metrics \| grep (?:-E )?'?([^'\n]+)'?", PAGE):
        for part in re.sub(r"\((\w+)\|(\w+)\)", r"\1", pattern).split("|"):
            wanted = part.removesuffix("_sum").removesuffix("_count")
            assert any(wanted in name for name in names), part


def test_every_setting_that_it_names_is_one() -> None:
    known = {setting.path for setting in settings_of(Settings, "", "GROUNDSWELL")}
    named = set(re.findall(r"`((?:kafka|engine|daemon|collect|directory|elasticsearch|log)\.[a-z_]+)`", PAGE))
    assert named
    assert named <= known
