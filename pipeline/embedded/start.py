"""Starting servers that do not run: programs, ports, configuration, processes, waiting until all is ready."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from pipeline.core.errors import ConfigError, FatalError
from pipeline.embedded import elasticsearch, kafka, process
from pipeline.embedded.account import Account
from pipeline.embedded.artifacts import read_lock
from pipeline.embedded.distributions import jars, unpacked
from pipeline.embedded.home import Layout, cache
from pipeline.embedded.interrupts import held
from pipeline.embedded.java import Java, Search, choose
from pipeline.embedded.ports import Chooser, chooser, is_free
from pipeline.embedded.process import Launch, State
from pipeline.embedded.status import address

Name = Literal["kafka", "elasticsearch"]
Announce = Callable[[str], None]

NAMES: tuple[Name, ...] = ("elasticsearch", "kafka")
"""In the order of starting: Elasticsearch takes longest."""

TITLES: Mapping[str, str] = {kafka.NAME: kafka.TITLE, elasticsearch.NAME: elasticsearch.TITLE}
DEFAULT_PORTS: Mapping[str, int] = {kafka.NAME: kafka.PORT, elasticsearch.NAME: elasticsearch.PORT}
LOGS: Mapping[str, str] = {kafka.NAME: "kafka.log", elasticsearch.NAME: "elasticsearch.log"}

RACES = 3
"""Tries to start on ports of our choice: another program may take one before the server listens on it."""

START_LIMIT = 240.0
ABANDON_LIMIT = 5.0
POLL = 0.1

RED_LIMIT = 60.0
"""Seconds after which an Elasticsearch with lost shards counts as started: a person must look at it."""

HEAP_MB = 512


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be started where, and as whom. ``wanted``: names to ports, None for any."""

    layout: Layout
    wanted: Mapping[Name, int | None]
    line: str | None
    account: Account | None
    announce: Announce


@dataclass(frozen=True, slots=True)
class Plan:
    """One server about to be started."""

    name: Name
    server: kafka.Kafka | elasticsearch.Elasticsearch
    version: str
    line: str
    port: int
    second_port: int


@dataclass(slots=True)
class Begun:
    """One server that was started and is not ready yet."""

    state: State
    launched: Callable[[], bool]
    """Whether the process that was started first has done its part (Elasticsearch's launcher ends)."""
    ready: Callable[[], bool]
    main_pid: Callable[[], int]
    began: float


def start(order: Order) -> dict[Name, State]:
    """Start the wanted servers and wait for them. The home's lock must be held.

    Raises ConfigError (ports, Java, line), FatalError (download, a server that died or did not become
    ready). On any exception, KeyboardInterrupt included, none of these servers is left running.
    """
    for _ in range(RACES):
        begun: dict[Name, Begun] = {}
        try:
            return _started(order, begun)
        except FatalError as error:
            abandon(order.layout, begun)
            if not _outrun(order, begun):
                raise
            order.announce(f"Another program took a port meanwhile; starting again ({error})")
        except BaseException:
            abandon(order.layout, begun)
            raise
    raise FatalError(
        "Other programs took the chosen ports each time: name ports that are free and try again."
    )


def _started(order: Order, begun: dict[Name, Begun]) -> dict[Name, State]:
    """One try of ``start``; ``begun`` takes up each server as soon as it has a process."""
    layout = order.layout
    with chooser(cache() / "ports") as choice:
        for plan in _plans(order, choice):
            launch = plan.server.prepare(plan.port, plan.second_port)
            if plan.line:
                layout.line.write_text(plan.line + "\n", encoding="utf-8")
            with held():
                begun[plan.name] = _begin(layout, plan, launch)
                process.write_state(layout.state(plan.name), begun[plan.name].state)
        return _await(layout, begun, order.announce)


def _outrun(order: Order, begun: Mapping[Name, Begun]) -> bool:
    """Whether somebody else listens on a port that was chosen, not asked for; our servers are ended."""
    chosen = [server.state.second_port for server in begun.values()]
    chosen += [server.state.port for name, server in begun.items() if order.wanted[name] is None]
    return not all(is_free(port) for port in chosen)


def _plans(order: Order, choice: Chooser) -> list[Plan]:
    """All that can fail for want of a port, a Java or a program, before any server is started."""
    wanted = order.wanted
    files = {name: order.layout.state(name).absolute() for name in wanted}
    asked = {
        name: choice.asked(TITLES[name], port, files[name])
        for name, port in wanted.items()
        if port is not None
    }
    programs = [_program(order, name) for name in NAMES if name in wanted]
    plans = []
    # Other ports are chosen last: a download takes minutes.
    for name, server, version, line in programs:
        before = process.read_state(order.layout.state(name))
        preferred = [before.port] if before else []
        port = asked[name] if name in asked else choice.free([*preferred, DEFAULT_PORTS[name]], files[name])
        second = choice.free([before.second_port] if before else [], files[name])
        plans.append(Plan(name, server, version, line, port, second))
    return plans


def _program(order: Order, name: Name) -> tuple[Name, kafka.Kafka | elasticsearch.Elasticsearch, str, str]:
    """A server's name, program, version and line."""
    lock, layout, account = read_lock(), order.layout, order.account
    if name == "kafka":
        bundle, java = lock[name], choose(search=Search(account))
        files = tuple(jars(bundle, layout, account))
        return name, kafka.Kafka(files, java, layout, account, _heap_mb(name)), bundle.version, ""
    line, java = choose_line(layout, order.line, account)
    bundle = lock[f"{name}-{line}"]
    folder = unpacked(bundle, layout, account)
    server = elasticsearch.Elasticsearch(folder, java, layout, account, _heap_mb(name))
    return name, server, bundle.version, line


def choose_line(layout: Layout, forced: str | None, account: Account | None) -> tuple[str, Java]:
    """The line of Elasticsearch (``8`` or ``9``) and a Java for it.

    The line that wrote the home's data stays; a new home gets 9 where the Java allows it. Raises ConfigError.
    """
    if forced not in (None, *elasticsearch.OLDEST_JAVA):
        raise ConfigError(f"There is no Elasticsearch line {forced}: choose 8 or 9.")
    recorded = layout.line.read_text(encoding="utf-8").strip() if layout.line.exists() else None
    if forced == "8" and recorded == "9":
        data = layout.data("elasticsearch")
        raise ConfigError(
            f"The data in {data} were written by Elasticsearch 9 and 8 cannot read them: "
            f"leave out the line, or move that directory and {layout.line} away."
        )
    line = forced or recorded
    if line is not None:
        oldest, newest = elasticsearch.OLDEST_JAVA[line], elasticsearch.NEWEST_JAVA[line]
        return line, choose(oldest, at_most=newest, search=Search(account))
    java = choose(search=Search(account))
    return ("9" if java.major >= elasticsearch.OLDEST_JAVA["9"] else "8"), java


def _heap_mb(name: str) -> int:
    variable = f"GROUNDSWELL_{name.upper()}_HEAP_MB"
    text = os.environ.get(variable, str(HEAP_MB))
    if not text.isdecimal() or int(text) < 64:
        raise ConfigError(f"{variable} is {text!r}: give a whole number of megabytes, 64 or more.")
    return int(text)


def _begin(layout: Layout, plan: Plan, launch: Launch) -> Begun:
    """Start the process."""
    name = plan.name
    mark = process.mark(name, layout.home)
    popen = process.spawn(launch, mark)
    state = State(
        name=name,
        phase="starting",
        mark=mark,
        pid=popen.pid,
        group=popen.pid,
        started=process.start_time(popen.pid),
        since=time.time(),
        port=plan.port,
        second_port=plan.second_port,
        version=plan.version,
        line=plan.line,
        java=plan.server.java.version,
        java_home=str(plan.server.java.home),
        log=str(layout.logs(name) / LOGS[name]),
    )
    began = time.monotonic()
    if isinstance(plan.server, elasticsearch.Elasticsearch):
        pid_file = plan.server.pid_file

        def healthy() -> bool:
            health = elasticsearch.health(plan.port)
            return health in ("yellow", "green") or (health == "red" and time.monotonic() - began > RED_LIMIT)

        return Begun(
            state, lambda: popen.poll() is not None, healthy, lambda: int(pid_file.read_text()), began
        )
    return Begun(state, lambda: True, lambda: kafka.ready(plan.port), lambda: popen.pid, began)


def _await(layout: Layout, begun: Mapping[Name, Begun], announce: Announce) -> dict[Name, State]:
    """Wait until all are ready. Raises FatalError when one dies or the time is up."""
    done: dict[Name, State] = {}
    while len(done) < len(begun):
        time.sleep(POLL)
        for name, server in begun.items():
            if name not in done and _is_ready(layout, name, server):
                pid = server.main_pid()
                state = msgspec.structs.replace(
                    server.state, phase="running", pid=pid, started=process.start_time(pid), since=time.time()
                )
                process.write_state(layout.state(name), state)
                done[name] = state
                took = time.monotonic() - server.began
                where = address(name, state.port)
                announce(
                    f"{TITLES[name]} {state.version} is up at {where} after {took:.1f} s (Java {state.java})"
                )
    return done


def _is_ready(layout: Layout, name: Name, server: Begun) -> bool:
    # Dead or alive is asked first: on the port somebody else's server may answer.
    if not process.members(server.state):
        raise FatalError(
            f"{TITLES[name]} stopped while starting: {_last_words(layout, name)}; see {server.state.log}"
        )
    if server.ready() and server.launched():
        return True
    if time.monotonic() - server.began > START_LIMIT:
        late = f"was not ready after {START_LIMIT:.0f} s"
        raise FatalError(f"{TITLES[name]} {late}: {_last_words(layout, name)}; see {server.state.log}")
    return False


def _last_words(layout: Layout, name: Name) -> str:
    logs: Sequence[str] = (LOGS[name], "console.log")
    since = layout.state(name).stat().st_mtime
    files = [layout.logs(name) / log for log in logs]
    return process.last_words([file for file in files if file.exists() and file.stat().st_mtime >= since - 1])


def abandon(layout: Layout, begun: Mapping[Name, Begun]) -> None:
    """End servers whose start failed or was broken off; a second interrupt only makes it quicker."""
    try:
        for server in begun.values():
            process.ask(server.state)
        for server in begun.values():
            process.end(server.state, limit=ABANDON_LIMIT)
    finally:
        for server in begun.values():
            process.end(server.state, limit=0, gently=False)
    for name, server in begun.items():
        process.write_state(layout.state(name), msgspec.structs.replace(server.state, phase="stopped"))
