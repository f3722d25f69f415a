"""One Elasticsearch node out of its distribution, which it never writes to: configuration, data, logs and
temporary files are the home's."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.embedded.account import Account, create
from pipeline.embedded.home import Layout
from pipeline.embedded.java import Java
from pipeline.embedded.ports import LOOPBACK
from pipeline.embedded.process import Launch, mark, mark_option

NAME = "elasticsearch"
TITLE = "Elasticsearch"
PORT = 9200

OLDEST_JAVA = {"8": 17, "9": 21}
"""By line; 8.19 is meant for 17 to 20 where one is there, and was seen to run on 25."""
NEWEST_JAVA = {"8": 20, "9": None}

# Absolute watermarks: by default a disk that is nine tenths full stops all writing, however large it is.
SETTINGS = """\
cluster.name: groundswell
node.name: groundswell
discovery.type: single-node
xpack.security.enabled: false
cluster.routing.allocation.disk.watermark.low: 1gb
cluster.routing.allocation.disk.watermark.high: 512mb
cluster.routing.allocation.disk.watermark.flood_stage: 256mb
"""

LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:es.logs.base_path}${sys:file.separator}elasticsearch.log
appender.file.filePattern = ${sys:es.logs.base_path}${sys:file.separator}elasticsearch.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d{ISO8601}] %-5p %c{1.}: %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 16MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 4
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""

QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:-AlwaysPreTouch")
"""A third less time to start. The better compiler halves the CPU of the threads that write, but after 240,000
posts compiling still cost more (100 µs a post) than it saved. For months of service run one of your own."""

UNWANTED_OPTIONS = ("-Xlog:", "-XX:+HeapDump", "-XX:HeapDumpPath", "-XX:ErrorFile")
"""Of the distribution's jvm.options: garbage collection logs of up to 2 GB, heap dumps beside the data."""


@dataclass(frozen=True, slots=True)
class Elasticsearch:
    """How to prepare, start and ask this server; knows nothing of state files."""

    distribution: Path
    java: Java
    layout: Layout
    account: Account | None
    heap_mb: int

    @property
    def pid_file(self) -> Path:
        """Written by the server itself; the process that is started is only its launcher, which ends."""
        return self.layout.tmp(NAME) / "pid"

    def prepare(self, port: int, transport_port: int) -> Launch:
        """Write the configuration."""
        layout, conf = self.layout, self.layout.conf(NAME)
        for name, text in self._files(port, transport_port).items():
            with create(conf / name, self.account) as file:
                file.write(text.encode())
        return Launch(
            command=[str(self.distribution / "bin" / "elasticsearch"), "-d", "-p", str(self.pid_file)],
            environment={
                "ES_JAVA_HOME": str(self.java.home),
                "ES_PATH_CONF": str(conf),
                "ES_TMPDIR": str(layout.tmp(NAME)),
                "HOME": str(layout.tmp(NAME)),
                **_launchers_folder(layout.tmp(NAME)),
            },
            directory=layout.logs(NAME),
            console=layout.logs(NAME) / "console.log",
            account=self.account,
        )

    def _files(self, port: int, transport_port: int) -> dict[str, str]:
        """The configuration's files by name."""
        layout = self.layout
        # A JSON string is a YAML string, with whatever the path holds.
        addresses = (
            f"network.host: {LOOPBACK}\nhttp.port: {port}\ntransport.port: {transport_port}\n"
            f"path.data: {json.dumps(str(layout.data(NAME)))}\n"
            f"path.logs: {json.dumps(str(layout.logs(NAME)))}\n"
            f"path.repo: {json.dumps(str(layout.snapshots))}\n"
        )
        given = (self.distribution / "config" / "jvm.options").read_text(encoding="utf-8").splitlines()
        options = [line for line in given if line.strip() and not line.startswith(("#", *UNWANTED_OPTIONS))]
        options += [
            f"-Xms{self.heap_mb}m",
            f"-Xmx{self.heap_mb}m",
            *QUICK_START,
            f"-XX:ErrorFile={layout.logs(NAME) / 'hs_err_pid%p.log'}",
            mark_option(mark(NAME, layout.home)),
        ]
        return {
            "elasticsearch.yml": SETTINGS + addresses,
            "log4j2.properties": LOGGING,
            "jvm.options": "\n".join(options) + "\n",
        }


def _launchers_folder(folder: Path) -> dict[str, str]:
    """The launcher, a Java of its own, leaves an empty folder behind at each start: not in everybody's /tmp.
    Its script splits options at blanks, so a home with one in its name is left alone."""
    return {} if any(map(str.isspace, str(folder))) else {"CLI_JAVA_OPTS": f"-Djava.io.tmpdir={folder}"}


def ready(port: int) -> bool:
    """Whether the node answers and every primary shard is there (health yellow or green)."""
    return health(port) in ("yellow", "green")


def health(port: int) -> str | None:
    """``green``, ``yellow``, ``red``, or None where nobody answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/_cluster/health")
        answer = connection.getresponse()
        body = json.loads(answer.read())
        return str(body["status"]) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None
    finally:
        connection.close()
