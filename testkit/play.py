"""The platform of a connector's fixture, to try the connector by hand, until Ctrl-C or SIGTERM:

    python -m testkit.play bluesky settings.toml

It has told twenty items. The file that it writes has the settings of the one connector, named by its kind.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from testkit.connector_drive import fixture_of

ITEMS = 20


def in_toml(value: object) -> str:
    """A value of a settings table on one line; texts, numbers, booleans and lists are as in JSON."""
    if isinstance(value, Mapping):
        pairs = (f"{in_toml(key)} = {in_toml(held)}" for key, held in value.items())
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    """Plays it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", help="of the connector: the name of its file")
    parser.add_argument("file", type=Path, help="the settings file to write")
    args = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    fixture = fixture_of(args.kind)
    with tempfile.TemporaryDirectory() as folder, fixture.stage(Path(folder)) as stage:
        stage.tell(ITEMS)
        lines = [f"{key} = {in_toml(value)}" for key, value in {"kind": args.kind, **stage.table}.items()]
        args.file.write_text("\n".join([f"[connectors.{args.kind}]", *lines, ""]), encoding="utf-8")
        over.wait()


if __name__ == "__main__":
    main()
