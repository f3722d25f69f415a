"""The option ``--log-format`` of the commands that log, and what follows from it."""

from __future__ import annotations

import argparse


def add_log_format(command: argparse.ArgumentParser) -> None:
    """Declares the option."""
    command.add_argument(
        "--log-format", choices=("text", "json"), help="of the lines on standard error (default: log.format)"
    )


def set_up_logs(
    args: argparse.Namespace, level: str = "warning", form: str = "text", limit: int = -1
) -> None:
    """Begins to log as the option says, else in ``form``. ``limit`` is lines of a kind a minute; below 0 it
    is the default."""
    from pipeline.app import logs
    from pipeline.core.process_settings import LINES_A_MINUTE

    chosen: logs.Form = "json" if (getattr(args, "log_format", None) or form) == "json" else "text"
    role = getattr(args, "role", None) or ""
    # The parent of several roles has none of its own.
    name = role if role and "," not in role else args.command
    logs.set_up(level, chosen, name=name, limit=LINES_A_MINUTE if limit < 0 else limit)
