"""The manifests run what the code is. No cluster is here, so each name in them is held against something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testkit.deploy import dockerfile
from testkit.deploy import kubernetes as checks
from testkit.deploy.slips import Slip, read_slips

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "deploy" / "kubernetes"
MANIFESTS = checks.read(FOLDER)
SECRETS = checks.read(FOLDER / "examples")
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def _settings() -> dict[str, Path]:
    """The files of the ConfigMap, as the page has people make it."""
    command = re.search(rf"kubectl create configmap {checks.SETTINGS}((?:[^\\\n]|\\\n)*)", PAGE)
    assert command
    files = [ROOT / path for path in re.findall(r"--from-file=(\S+)", command[1])]
    return {file.name: file for file in files}


def _image() -> str:
    """Our image, and the user whom it runs as."""
    final = dockerfile.read((ROOT / "Dockerfile").read_text(encoding="utf-8"))[-1]
    version = next(a.rest.partition("=")[2] for a in final.all("ARG") if a.rest.startswith("VERSION="))
    return f"groundswell:{version}@{final.one('USER').rest.partition(':')[0]}"


def _problems(manifests: list[checks.Manifest], scratch: Path) -> list[str]:
    return checks.problems(manifests, SECRETS, _settings(), _image(), scratch)


def test_they_agree_with_their_schema_with_each_other_and_with_the_code(tmp_path: Path) -> None:
    assert _problems(MANIFESTS, tmp_path) == []
    parts = [one for one in MANIFESTS if one["kind"] in checks.KINDS_OF_PODS]
    assert {one["metadata"]["name"] for one in parts} == {"collect", "enrich", "index"}


@pytest.mark.parametrize(
    "slip", read_slips(Path(__file__).with_name("kubernetes_slips.yaml")), ids=lambda slip: slip.slip
)
def test_a_slip_is_found(slip: Slip, tmp_path: Path) -> None:
    names = [f"{one['kind']} {one['metadata']['name']}" for one in MANIFESTS]
    name, _, way = slip.at.partition("/")
    number = names.index(name)
    changed = Slip(slip.slip, f"{number}/{way}", slip.found, slip.to).made(MANIFESTS)
    found = _problems(changed, tmp_path)
    assert any(slip.found in problem for problem in found), found


def test_the_example_of_the_secret_is_never_applied_with_the_rest() -> None:
    """It would take the place of the true one at the next upgrade."""
    assert not [one for one in MANIFESTS if one["kind"] == "Secret"]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret["metadata"]["name"])
def test_the_page_makes_every_secret_with_the_keys_that_are_mounted(secret: checks.Manifest) -> None:
    name = secret["metadata"]["name"]
    command = re.search(rf"kubectl create secret generic {name} ((?:[^\\\n]|\\\n)*)", PAGE)
    assert command
    assert set(re.findall(r"--from-file=([\w.]+)=", command[1])) == set(secret["stringData"])
