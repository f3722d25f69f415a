"""``groundswell down``: ends the embedded servers; their data stay."""

from __future__ import annotations

import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("down", help="stop the servers that `up` started; their data stay")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Says what it stopped, or that nothing ran."""
    from pipeline.app.configuration import home_for
    from pipeline.embedded import servers

    home = home_for(args)
    if not servers.down(home, lambda message: print(message, flush=True)):
        print(f"No embedded server of {home} was running")
    return 0
