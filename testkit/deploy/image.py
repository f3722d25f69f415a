"""What Elasticsearch's official image has and this machine has elsewhere: its programs, and a place for what
the script of certificates makes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pipeline.embedded.account import account_for
from pipeline.embedded.artifacts import read_lock
from pipeline.embedded.distributions import unpacked
from pipeline.embedded.home import Layout
from pipeline.embedded.start import choose_line


def image_programs(home: Path) -> dict[str, str]:
    """The environment in which the programs of Elasticsearch are found, as within its image."""
    layout, account = Layout(home), account_for(home)
    line, java = choose_line(layout, None, account)
    distribution = unpacked(read_lock()[f"elasticsearch-{line}"], layout, account)
    return {"PATH": f"{distribution / 'bin'}:{os.environ['PATH']}", "ES_JAVA_HOME": str(java.home)}


def make_certificates(deploy: Path, folder: Path, programs: Mapping[str, str]) -> None:
    """Runs the script of certificates: from ``elastic_password`` in the folder into ``server`` and
    ``authority`` there. AssertionError with what it said where it fails."""
    for name in ("server", "authority"):
        (folder / name).mkdir(exist_ok=True)
    done = subprocess.run(
        ["bash", str(deploy / "elasticsearch" / "certificates.sh")],
        env={
            **programs,
            "SERVER_FOLDER": str(folder / "server"),
            "AUTHORITY_FOLDER": str(folder / "authority"),
            "ELASTIC_PASSWORD_SECRET": str(folder / "elastic_password"),
            "SERVER_OWNER": f"{os.getuid()}:{os.getgid()}",
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
