"""The real posts and labels beside the project, where they are; nothing of them is in the repository."""

from __future__ import annotations

import gzip
import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

VARIABLE = "GROUNDSWELL_SHARED"


def shared_folder(near: Path) -> Path | None:
    """The folder with ``data/``: named by GROUNDSWELL_SHARED, or found beside the checkout of ``near``."""
    named = os.environ.get(VARIABLE)
    candidates = [Path(named)] if named else [folder / "shared" for folder in near.resolve().parents]
    return next((folder for folder in candidates if (folder / "data" / "replay").is_dir()), None)


def replay_posts(shared: Path, at_most: int | None = None) -> list[dict[str, Any]]:
    """The posts of the shared replay, evenly spread over the file where not all are wanted."""
    with gzip.open(shared / "data" / "replay" / "posts.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = list(file)
    step = 1 if at_most is None else max(len(lines) // at_most, 1)
    return [json.loads(line) for line in islice(lines, 0, None, step)][:at_most]
