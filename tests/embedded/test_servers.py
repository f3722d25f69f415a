"""The true servers: one home from the first ``up`` to the last ``down``. The tests build on each other in
their order, to spare starts."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from pipeline.cli import down as cli_down
from pipeline.cli import up as cli_up
from pipeline.core.errors import ConfigError, FatalError
from pipeline.embedded import java, servers
from pipeline.embedded.home import Layout
from pipeline.embedded.process import read_state
from pipeline.embedded.servers import Addresses

from .conftest import processes

POSTS = [f"post {number}".encode() for number in range(100)]


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the announcer was told."""
    return []


@pytest.fixture(scope="module")
def addresses(home: Path, said: list[str]) -> Addresses:
    return servers.up(home, announce=said.append)


def client(addresses: Addresses) -> Elasticsearch:
    return Elasticsearch(addresses.elasticsearch, request_timeout=30)


def read_posts(addresses: Addresses) -> list[bytes]:
    consumer = KafkaConsumer(
        "posts", bootstrap_servers=addresses.kafka, auto_offset_reset="earliest", consumer_timeout_ms=60_000
    )
    try:
        return [record.value for _, record in zip(POSTS, consumer, strict=False)]
    finally:
        consumer.close()


def test_both_come_up_and_say_where(addresses: Addresses, said: list[str], home: Path) -> None:
    assert any(line.startswith(f"Kafka 4.1.2 is up at {addresses.kafka} after ") for line in said)
    assert any(addresses.elasticsearch in line for line in said)
    kafka, elasticsearch = servers.status(home)
    assert [kafka.state, elasticsearch.state] == ["running", "running"]
    assert (kafka.address, elasticsearch.address) == (addresses.kafka, addresses.elasticsearch)
    assert elasticsearch.log.read_text()
    assert kafka.log.read_text()


def test_they_listen_on_loopback_only(addresses: Addresses, home: Path) -> None:
    listening = [
        connection.laddr.ip
        for process in processes(home)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    # Kafka's two listeners, Elasticsearch's HTTP and transport.
    assert len(listening) == 4
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")
def test_started_by_root_they_do_not_run_as_root(addresses: Addresses, home: Path) -> None:
    assert all(process.uids().real != 0 for process in processes(home))


def test_up_again_starts_nothing(addresses: Addresses, home: Path) -> None:
    before = [server.pid for server in servers.status(home)]
    again: list[str] = []
    assert servers.up(home, announce=again.append) == addresses
    assert [server.pid for server in servers.status(home)] == before
    assert len(processes(home)) == 2
    assert all(" already runs at " in line for line in again)


def command(*words: str) -> int:
    """Run a command of the command line, whichever of them ``main`` knows."""
    top = argparse.ArgumentParser()
    subparsers = top.add_subparsers()
    for module in (cli_up, cli_down):
        module.add_parser(subparsers)
    args = top.parse_args(words)
    return int(args.run(args))


def test_the_command_up_prints_addresses_logs_and_how_to_stop(
    addresses: Addresses, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROUNDSWELL_HOME", str(home))
    assert command("up") == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"Kafka          {addresses.kafka}",
        f"Elasticsearch  {addresses.elasticsearch}",
        f"Logs           {home / 'logs'}",
        "Stop with      groundswell down",
    ]
    assert told.err.count("already runs at") == 2


def test_a_block_leaves_running_what_ran_before(addresses: Addresses, home: Path) -> None:
    with servers.running(home) as inside:
        assert inside == addresses
    assert [server.state for server in servers.status(home)] == ["running", "running"]


def test_another_port_for_a_running_server_is_refused(addresses: Addresses, home: Path) -> None:
    with pytest.raises(ConfigError, match=r"already runs on port \d+: run `groundswell down` first"):
        servers.up(home, kafka_port=1025)


def test_another_line_for_a_running_server_is_refused(addresses: Addresses, home: Path) -> None:
    state = read_state(Layout(home).state("elasticsearch"))
    assert state is not None
    with pytest.raises(ConfigError, match="already runs"):
        servers.start_elasticsearch(home, line="9" if state.line == "8" else "8")


def test_topics_are_made_on_purpose_and_take_16_megabytes(addresses: Addresses) -> None:
    admin = KafkaAdminClient(bootstrap_servers=addresses.kafka)
    admin.create_topics([NewTopic("posts", 2, 1), NewTopic("large", 1, 1)])
    assert "never-made" not in admin.list_topics()
    admin.close()
    producer = KafkaProducer(bootstrap_servers=addresses.kafka, max_request_size=17_000_000)
    producer.send("large", b"x" * 16_000_000).get(timeout=30)
    for post in POSTS:
        producer.send("posts", post, key=post)
    producer.flush()
    producer.close()


def test_documents_are_indexed(addresses: Addresses) -> None:
    with client(addresses) as es:
        for number in range(20):
            es.index(
                index="posts",
                id=str(number),
                document={"text": f"post {number}"},
                version=7,
                version_type="external",
            )
        es.indices.refresh(index="posts")
        assert es.count(index="posts")["count"] == 20


def test_killed_servers_come_back_at_their_ports_with_their_data(addresses: Addresses, home: Path) -> None:
    servers.kill(home, "kafka")
    servers.kill(home, "elasticsearch")
    assert [server.state for server in servers.status(home)] == ["crashed", "crashed"]
    assert processes(home) == []
    assert servers.up(home) == addresses
    assert sorted(read_posts(addresses)) == sorted(POSTS)
    with client(addresses) as es:
        assert es.count(index="posts")["count"] == 20
        assert es.get(index="posts", id="3")["_version"] == 7


def test_one_server_is_stopped_and_started_alone(addresses: Addresses, home: Path) -> None:
    assert servers.stop(home, "kafka")
    assert [server.state for server in servers.status(home)] == ["stopped", "running"]
    assert not servers.stop(home, "kafka")
    port = int(addresses.kafka.rpartition(":")[2])
    assert servers.start_kafka(home, port) == addresses.kafka
    assert sorted(read_posts(addresses)) == sorted(POSTS)


def test_a_paused_server_answers_again_after_it_is_resumed(addresses: Addresses, home: Path) -> None:
    servers.pause(home, "elasticsearch")
    with Elasticsearch(addresses.elasticsearch, request_timeout=0.5, max_retries=0) as es:
        assert not es.ping()
    servers.resume(home, "elasticsearch")
    with client(addresses) as es:
        assert es.count(index="posts")["count"] == 20


def test_down_ends_both_gently_and_twice_is_fine(addresses: Addresses, home: Path) -> None:
    said: list[str] = []
    assert sorted(servers.down(home, said.append)) == ["elasticsearch", "kafka"]
    assert sorted(said) == ["Elasticsearch stopped", "Kafka stopped"]
    assert processes(home) == []
    assert servers.down(home) == []
    # Both said goodbye in their logs: they were not cut off.
    kafka, elasticsearch = servers.status(home)
    assert "closed" in elasticsearch.log.read_text().splitlines()[-1]
    assert "shut down completed" in kafka.log.read_text()


def test_the_command_down_says_when_nothing_ran(
    addresses: Addresses, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROUNDSWELL_HOME", str(home))
    assert command("down") == 0
    assert capsys.readouterr().out == f"No embedded server of {home} was running\n"


def test_a_taken_port_is_refused_before_anything_starts(addresses: Addresses, home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"Port {port} for Kafka is taken by .* \(pid {os.getpid()}\)"):
            servers.up(home, kafka_port=port)
    assert processes(home) == []


def test_a_port_that_another_program_takes_meanwhile_is_given_up(addresses: Addresses, home: Path) -> None:
    said: list[str] = []
    with socket.socket() as thief:

        def steal() -> None:
            while (kafka := servers.status(home)[0]).state != "starting":
                time.sleep(0.01)
            assert kafka.port is not None
            thief.bind(("127.0.0.1", kafka.port))
            thief.listen(1)

        stealing = threading.Thread(target=steal)
        stealing.start()
        address = servers.start_kafka(home, announce=said.append)
        stealing.join()
        stolen = thief.getsockname()[1]
    assert address != f"127.0.0.1:{stolen}"
    assert said[0].startswith(
        "Another program took a port meanwhile; starting again (Kafka stopped while starting"
    )
    assert servers.stop(home, "kafka")


def test_the_data_of_9_are_kept_from_8(addresses: Addresses, home: Path) -> None:
    if Layout(home).line.read_text().strip() != "9":
        pytest.skip("there is no Java 21 here, so these data are of 8")
    with pytest.raises(ConfigError, match="were written by Elasticsearch 9 and 8 cannot read them"):
        servers.start_elasticsearch(home, line="8")


def test_a_server_that_dies_while_starting_shows_its_last_words(addresses: Addresses, home: Path) -> None:
    meta = Layout(home).data("kafka") / "meta.properties"
    good = meta.read_text()
    meta.write_text(good.replace("node.id=1", "node.id=2"))
    with pytest.raises(FatalError, match=r"^Kafka stopped while starting: .*(node|id).*; see .*kafka\.log$"):
        servers.start_kafka(home)
    meta.write_text(good)
    assert processes(home) == []
    assert servers.status(home)[0].state == "stopped"


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_start_that_is_interrupted_leaves_nothing(addresses: Addresses, home: Path, number: str) -> None:
    program = "import pathlib, sys; from pipeline.embedded.servers import up; up(pathlib.Path(sys.argv[1]))"
    starter = subprocess.Popen([sys.executable, "-c", program, str(home)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while [server.state for server in servers.status(home)] != ["starting", "starting"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    starter.send_signal(signal.Signals[number])
    _, complaint = starter.communicate(timeout=120)
    if number == "SIGKILL":
        # Nobody could clean up: the servers go on, and whoever comes next ends them.
        assert processes(home)
        assert sorted(servers.down(home)) == ["elasticsearch", "kafka"]
    else:
        assert b"KeyboardInterrupt" in complaint
    assert processes(home) == []
    assert [server.state for server in servers.status(home)] == ["stopped", "stopped"]


@pytest.mark.parametrize("line", ["8", "9"])
def test_each_line_starts_where_its_java_is(home: Path, line: str) -> None:
    try:
        java.choose({"8": 17, "9": 21}[line], search=java.Search(fetch=lambda: Path("/nowhere")))
    except ConfigError as error:
        pytest.skip(str(error))
    other = home.parent / f"line{line}"
    try:
        url = servers.start_elasticsearch(other, line=line)
        with Elasticsearch(url) as es:
            nodes = es.nodes.info(filter_path="nodes.*.version,nodes.*.jvm.version,nodes.*.jvm.mem")["nodes"]
        [node] = nodes.values()
        assert node["version"].startswith(f"{line}.")
        assert node["jvm"]["mem"]["heap_max_in_bytes"] == 512 * 1024 * 1024
        # What its launcher leaves behind at each start stays in the home.
        assert list(Layout(other).tmp("elasticsearch").glob("final-flags*"))
    finally:
        servers.stop(other, "elasticsearch")
