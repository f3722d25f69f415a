"""One Kafka node (KRaft: broker and controller in one process) out of its jars."""

from __future__ import annotations

import base64
import os
import socket
import struct
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import FatalError
from pipeline.embedded.account import Account, create
from pipeline.embedded.home import Layout
from pipeline.embedded.java import Java
from pipeline.embedded.ports import LOOPBACK
from pipeline.embedded.process import Launch, mark, mark_option

NAME = "kafka"
TITLE = "Kafka"
PORT = 9092

QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Halves the processor time of a start; on two cores it cost no throughput (300,000 records/s)."""

LARGEST_MESSAGE = 16 * 1024 * 1024
"""Bytes; a post with a long thread of quoted mail must fit."""

LARGEST_INDEX = 3 * 1024 * 1024 + 256 * 1024
"""Bytes with which the two indices of a partition are made, zeros all of them. A disk that reads far ahead
has them in memory with the first record: by the server's default 20 MB and some milliseconds a partition.
Not below 3 MiB: the times of a segment of 1 GB fill so much, also in a home that was there before."""

OFFSETS_RETENTION_MINUTES = 30 * 24 * 60
"""A consumer that was away for a month still finds its place; the server's default is a week."""

SETTINGS = f"""\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
offsets.retention.minutes={OFFSETS_RETENTION_MINUTES}
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
message.max.bytes={LARGEST_MESSAGE}
replica.fetch.max.bytes={LARGEST_MESSAGE}
log.index.size.max.bytes={LARGEST_INDEX}
group.initial.rebalance.delay.ms=0
# A killed broker is let in again only when its old session has ended, by default after nine seconds.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.enable=true
log.cleaner.dedupe.buffer.size=33554432
"""

LOGGING = """\
shutdownHook = disable
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:groundswell.log}
appender.file.filePattern = ${sys:groundswell.log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d{ISO8601}] %p %c{1}: %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 16MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 4
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
logger.values.name = org.apache.kafka.common.config
logger.values.level = warn
"""


@dataclass(frozen=True, slots=True)
class Kafka:
    """How to prepare, start and ask this server; knows nothing of state files."""

    jars: tuple[Path, ...]
    java: Java
    layout: Layout
    account: Account | None
    heap_mb: int

    def prepare(self, port: int, controller_port: int) -> Launch:
        """Write the configuration and, the first time, format the storage. Raises FatalError."""
        layout, conf = self.layout, self.layout.conf(NAME)
        addresses = (
            f"listeners=CLIENT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}\n"
            f"advertised.listeners=CLIENT://{LOOPBACK}:{port}\n"
            f"controller.quorum.voters=1@{LOOPBACK}:{controller_port}\n"
            f"log.dirs={_property(layout.data(NAME))}\n"
        )
        for name, text in (("server.properties", SETTINGS + addresses), ("log4j2.properties", LOGGING)):
            with create(conf / name, self.account) as file:
                file.write(text.encode())
        if not (layout.data(NAME) / "meta.properties").exists():
            self._format(conf / "server.properties")
        return Launch(
            command=[
                *self._java(f"-Xms{self.heap_mb}m", f"-Xmx{self.heap_mb}m"),
                "kafka.Kafka",
                str(conf / "server.properties"),
            ],
            environment={"HOME": str(layout.tmp(NAME))},
            directory=layout.logs(NAME),
            console=layout.logs(NAME) / "console.log",
            account=self.account,
        )

    def _java(self, *heap: str) -> list[str]:
        layout = self.layout
        options = [
            *QUICK_START,
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={layout.tmp(NAME)}",
            f"-Dgroundswell.log={layout.logs(NAME) / 'kafka.log'}",
            f"-Dlog4j2.configurationFile={(layout.conf(NAME) / 'log4j2.properties').as_uri()}",
            mark_option(mark(NAME, layout.home)),
        ]
        if self.java.major >= 24:
            # Silences warnings about what its compression libraries do; nothing else changes.
            options += ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
        return [str(self.java.program), *heap, *options, "-cp", os.pathsep.join(map(str, self.jars))]

    def _format(self, properties: Path) -> None:
        command = [*self._java("-Xmx128m"), "kafka.tools.StorageTool", "format"]
        command += ["--cluster-id", _cluster_id(), "--config", str(properties), "--ignore-formatted"]
        account = self.account
        formatted = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd=self.layout.logs(NAME),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            umask=0o027,
            check=False,
        )
        if formatted.returncode != 0:
            said = ["it said nothing", *f"{formatted.stdout}\n{formatted.stderr}".strip().splitlines()][-1]
            raise FatalError(f"Kafka's storage in {self.layout.data(NAME)} could not be formatted: {said}")


def _cluster_id() -> str:
    """A new id in Kafka's form: 16 random bytes in base64; a leading dash would read as an option."""
    while True:
        encoded = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not encoded.startswith("-"):
            return encoded


def _property(path: Path) -> str:
    """``path`` as a value in a properties file (Java reads them as ISO 8859-1 with escapes)."""
    escaped = str(path).replace("\\", "\\\\")
    return "".join(char if char.isascii() else _escaped(char) for char in escaped)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def ready(port: int) -> bool:
    """Whether the broker answers a Metadata request (version 1) and knows its controller and itself.

    Spoken by hand, so that starting a server does not wait for the import of a client.
    """
    client = b"groundswell"
    request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            size = struct.unpack(">i", _exactly(connection, 4))[0]
            return _has_controller(_exactly(connection, size))
    except OSError:
        return False


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("closed by the server")
        received += part
    return received


def _has_controller(answer: bytes) -> bool:
    """Reads correlation id, brokers (id, host, port, rack) and controller id; -1 means unknown."""
    brokers = struct.unpack_from(">i", answer, 4)[0]
    position = 8
    for _ in range(brokers):
        host = struct.unpack_from(">h", answer, position + 4)[0]
        position += 4 + 2 + host + 4
        rack = struct.unpack_from(">h", answer, position)[0]
        position += 2 + max(rack, 0)
    return bool(brokers > 0 and struct.unpack_from(">i", answer, position)[0] >= 0)
