"""``groundswell run``: the daemon."""

from __future__ import annotations

import argparse
import os

from pipeline.cli.log_option import add_log_format, set_up_logs
from pipeline.core.errors import ConfigError, GroundswellError, unforeseen


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "run", help="the daemon: collect, enrich, index and directory until told to end"
    )
    command.add_argument("--role", help="only these roles, separated by commas (default: all of them)")
    add_log_format(command)
    command.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)
    command.add_argument("--lock", type=int, help=argparse.SUPPRESS)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """One role runs in this process; several in one process each, below this one."""
    from pipeline.app import logs, supervision
    from pipeline.app.configuration import home_for

    try:
        return _run(args)
    except Exception as error:
        if args.lock is not None:
            words = str(error) if isinstance(error, GroundswellError) else unforeseen(error)
            supervision.leave_words(home_for(args), args.role, logs.concealed(words))
        raise


def _run(args: argparse.Namespace) -> int:
    from pipeline.app import logs, role_lock, supervisor
    from pipeline.app.configuration import home_for, settings_file, settings_for
    from pipeline.app.health import ROLES
    from pipeline.app.roles import run_role

    settings = settings_for(args)
    set_up_logs(args, settings.log.level, settings.log.format, settings.log.lines_a_minute)
    logs.catch_all()
    roles = [role.strip() for role in args.role.split(",")] if args.role else list(ROLES)
    if len(set(roles)) < len(roles):
        raise ConfigError(f"--role names a role twice: {args.role}")
    for role in roles:
        if role not in ROLES:
            raise ConfigError(f"there is no role `{role}`: choose from {', '.join(ROLES)}")
    if args.lifeline is not None:
        supervisor.hold_lifeline(args.lifeline)
    home = home_for(args)
    if len(roles) > 1:
        config = ["--config", args.config] if args.config else []
        form = ["--log-format", args.log_format] if args.log_format else []
        supervisor.supervise(roles, [*config, "run", *form], home, settings.daemon)
        return 0
    if args.lock is None and roles[0] in role_lock.SOLE:
        role_lock.take(home, roles[0])
    run_role(roles[0], settings, home, settings_file(args.config, os.environ, home))
    return 0
