"""A true Prometheus on loopback, with the shipped rules, over pages that a test names."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from testkit.waiting import until

# The rules wait for minutes so that nobody is woken in vain; a test has not that long.
LASTS = "2s"
# Nor can it let a post wait for minutes.
SOONER = {"GroundswellBehind": ("> 300", "> 5")}


class Prometheus:
    """Asked for the alerts that fire."""

    def __init__(self, url: str) -> None:
        self._url = url

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """The alerts by name."""
        with urllib.request.urlopen(f"{self._url}/api/v1/alerts", timeout=10) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in alerts:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, http.client.HTTPException):
            return False


def program() -> str | None:
    """Where it is; None where it is not installed."""
    return shutil.which("prometheus")


@contextmanager
def watching(alerts: Path, folder: Path, targets: Sequence[str], port: int) -> Iterator[Prometheus]:
    """Scrapes the targets (host:port) every second until the end, and judges by the rules of the file
    ``alerts``. ``folder`` takes its files."""
    tool = program()
    assert tool is not None
    folder.mkdir(parents=True, exist_ok=True)
    rules = yaml.safe_load(alerts.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["for"] = LASTS
            was, shall = SOONER.get(rule["alert"], ("", ""))
            assert was in rule["expr"]
            rule["expr"] = rule["expr"].replace(was, shall) if was else rule["expr"]
    (folder / "rules.yml").write_text(json.dumps(rules))
    job = {"job_name": "groundswell", "static_configs": [{"targets": list(targets)}]}
    pace = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": pace, "rule_files": [str(folder / "rules.yml")], "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{port}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                tool,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        one = Prometheus(f"http://{address}")
        until(one.is_ready, why=f"Prometheus is up; its log is {folder / 'prometheus.log'}")
        yield one
    finally:
        process.terminate()
        process.wait(30)
