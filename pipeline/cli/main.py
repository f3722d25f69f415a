"""The command ``groundswell``: finds the subcommand, turns errors into one sentence and an exit status.

Each command is one module of this package with ``add_parser(subparsers)`` and ``run(args)``. Modules
import what is heavy only when they run, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from pipeline.core.errors import ConfigError, GroundswellError

COMMANDS = (
    "demo",
    "up",
    "down",
    "status",
    "run",
    "collect",
    "replay",
    "enrich",
    "queue",
    "query",
    "explain",
    "rejected",
    "audit",
    "reenrich",
    "rebuild",
    "tidy",
    "backup",
    "restore",
    "check",
    "customer",
)


class _Version(argparse.Action):
    """Looked up only when asked for: a checkout that is not installed has none."""

    def __call__(self, *_: object, **__: object) -> None:
        print(f"groundswell {version('groundswell')}")
        raise SystemExit(0)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="groundswell",
        description="Social listening: posts in, enriched, routed and searchable.",
        epilog="GROUNDSWELL_HOME holds all state of an installation; settings have GROUNDSWELL_ variables.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="say which version this is, and end")
    top.add_argument(
        "--config",
        metavar="FILE",
        help="the settings file (default: groundswell.toml here, else in the home)",
    )
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"pipeline.cli.{name}").add_parser(subparsers)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0 done, 1 failed while running, 2 wrong call or settings."""
    args = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Files and pipes get UTF-8 whatever the locale; a terminal that is none shows what it can.
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except ConfigError as error:
        return _complain(error, 2)
    except GroundswellError as error:
        return _complain(error, 1)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return status


def _complain(error: GroundswellError, status: int) -> int:
    from pipeline.app import logs

    message = logs.concealed(str(error))
    if not logs.last_words(message):
        print(f"groundswell: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
