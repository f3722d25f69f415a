"""Sending a file into the posts topic, with a cursor of its own so that it can be resumed."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from connectors import jsonl
from pipeline.app.brokers import Brokers
from pipeline.app.collect import Pump, Tally
from pipeline.app.cursors import CursorStore
from pipeline.app.producer import Producer
from pipeline.app.topics import Topics


def replay_file(  # noqa: PLR0913 - what a user can say of a replay
    name: str,
    brokers: Brokers,
    topics: Topics,
    home: Path,
    stop: threading.Event,
    *,
    rate: float | None,
    resume: bool,
    report: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Sends all posts of a file (``-``: standard input). Returns what was sent and what was refused, which
    ``report`` hears as it goes on.

    Interrupted, it leaves a cursor behind the last post that Kafka confirmed; ``resume`` goes on there.
    """
    # In batches small enough for the rate to be even.
    batch = 1000 if rate is None else max(1, min(1000, int(rate / 5)))
    connector = jsonl.JsonLines(name, batch, stage="replay")
    cursors = CursorStore(home)
    cursor_name = _cursor_name(name)
    producer = Producer(brokers, client_id="groundswell-replay")
    pump = Pump(
        connector,
        producer,
        topics,
        stop,
        keep=(lambda _: None) if name == "-" else (lambda cursor: cursors.save(cursor_name, cursor)),
        report=report,
        rate=rate,
    )

    def end(*_: object) -> None:
        if name == "-" or stop.is_set():
            raise KeyboardInterrupt  # a read of a terminal or a pipe may last for ever
        stop.set()

    handler = signal.signal(signal.SIGTERM, end)
    try:
        tally = pump.run(cursors.load(cursor_name) if resume and name != "-" else None)
    finally:
        signal.signal(signal.SIGTERM, handler)
        connector.close()
        producer.close()
    if not stop.is_set():
        cursors.forget(cursor_name)
    return tally


def _cursor_name(name: str) -> str:
    path = Path(name).absolute()
    return f"replay-{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
