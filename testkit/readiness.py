"""What the roles of an installation say of themselves, on their pages."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from pipeline.app.health import present
from testkit.installation import Installation


def readyz(installation: Installation, role: str) -> dict[str, Any]:
    """What a role says of itself; empty where it does not run or not yet answer."""
    for note in present(installation.home):
        if note.role != role:
            continue
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{note.port}/readyz", timeout=30) as answer:
                assert answer.status == 200
                body: dict[str, Any] = json.loads(answer.read())
                assert body["ready"] is True
        except urllib.error.HTTPError as error:
            body = json.loads(error.read())
            if error.code != 503 or body["ready"]:
                raise
        except OSError:
            return {}
        return body
    return {}


def ready(installation: Installation, role: str) -> bool:
    """Whether a role runs and says that it is ready."""
    return bool(readyz(installation, role).get("ready"))


def reason(installation: Installation, role: str, part: str) -> str:
    """Why a role waits for a part; empty where it does not."""
    return str(readyz(installation, role).get("waits_for", {}).get(part, ""))
