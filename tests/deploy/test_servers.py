"""True servers start with the very settings of docker-compose.yml, and let in whom its scripts say."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource
from elasticsearch import Elasticsearch

from pipeline.app.brokers import Brokers
from pipeline.app.daemon import surroundings
from pipeline.core.settings import ElasticsearchSettings, KafkaSettings, Secret
from pipeline.embedded import elasticsearch as embedded_elasticsearch
from pipeline.embedded import kafka as embedded_kafka
from pipeline.embedded.account import create
from pipeline.embedded.artifacts import read_lock
from pipeline.embedded.distributions import jars, unpacked
from pipeline.embedded.java import Search, choose
from pipeline.embedded.ports import LOOPBACK, chooser
from pipeline.embedded.start import choose_line
from testkit.deploy import compose
from testkit.deploy.image import image_programs, make_certificates
from testkit.deploy.servers import properties_of
from testkit.platform.certificate import openssl
from testkit.secured.authority import Authority
from testkit.secured.elasticsearch import ADMIN, PASSWORD, SecuredElasticsearch, secured_elasticsearch
from testkit.secured.starting import Started, folders, passing_home

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "configs" / "deploy"
SERVICES = compose.read(ROOT)["services"]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home that the servers' user can enter."""
    with passing_home("groundswell-deploy-") as home:
        yield home


@pytest.fixture(scope="module")
def secrets(home: Path) -> Path:
    """What the script of secrets makes."""
    subprocess.run(["sh", str(DEPLOY / "secrets.sh"), str(home / "secrets")], check=True, capture_output=True)
    return home / "secrets"


def _moved(text: str, ports: Mapping[str, int]) -> str:
    """Addresses of the container at free ports of this machine's loopback."""
    for port, ours in ports.items():
        text = re.sub(rf"(?<=//)[^:,]*:{port}\b|\b(?:localhost|kafka):{port}\b", f"{LOOPBACK}:{ours}", text)
    return text


@pytest.fixture(scope="module")
def brokers(home: Path, secrets: Path) -> Iterator[dict[str, str]]:
    """A true Kafka with the settings of the compose file; its addresses by the port in the container."""
    environ = SERVICES["kafka"]["environment"]
    layout, account = folders(home, embedded_kafka.NAME)
    programs = tuple(jars(read_lock()[embedded_kafka.NAME], layout, account))
    java = choose(search=Search(account))
    server = embedded_kafka.Kafka(programs, java, layout, account, 384)
    with chooser(home / "ports") as choice:
        ports = {port: choice.free() for port in re.findall(r":(\d+)", environ["KAFKA_LISTENERS"])}
        launch = server.prepare(ports["9092"], ports["9093"])
        conf = layout.conf(embedded_kafka.NAME)
        properties = {name: _moved(value, ports) for name, value in properties_of(environ).items()}
        properties["log.dirs"] = str(layout.data(embedded_kafka.NAME))
        with create(conf / "server.properties", account) as file:
            file.write("".join(f"{name}={value}\n" for name, value in properties.items()).encode())
        with create(conf / "kafka_users", account) as file:
            file.write((secrets / "kafka_users").read_bytes())
        options = environ["KAFKA_OPTS"].replace("/run/secrets", str(conf))
        java_program, *rest = launch.command
        started = Started(
            layout, embedded_kafka.NAME, replace(launch, command=[java_program, options, *rest])
        )
    try:
        started.wait(lambda: embedded_kafka.ready(ports["19092"]))
        yield {port: f"{LOOPBACK}:{ours}" for port, ours in ports.items()}
    finally:
        started.end()


def _client(address: str, password: str) -> AdminClient:
    """A client that signs in as our services do."""
    ours = SERVICES["index"]["environment"]
    settings = KafkaSettings(
        security_protocol=ours["GROUNDSWELL_KAFKA_SECURITY_PROTOCOL"],
        sasl_mechanism=ours["GROUNDSWELL_KAFKA_SASL_MECHANISM"],
        username=ours["GROUNDSWELL_KAFKA_USERNAME"],
        password=Secret(password),
    )
    return AdminClient({**Brokers(address, settings).for_confluent(), "log_level": 0})


@pytest.mark.parametrize("port", ["9092", "29092"])
def test_kafka_lets_in_who_has_the_password_and_nobody_else(
    port: str, brokers: dict[str, str], secrets: Path
) -> None:
    password = (secrets / "kafka_password").read_text(encoding="ascii")
    assert _client(brokers[port], password).list_topics(timeout=20).brokers
    with pytest.raises(KafkaException):
        _client(brokers[port], "guessed").list_topics(timeout=3)
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": brokers[port], "log_level": 0}).list_topics(timeout=3)


def test_kafka_knows_every_setting(brokers: dict[str, str]) -> None:
    """It passes over those that it does not know, and says so in a log that nobody reads."""
    client = AdminClient({"bootstrap.servers": brokers["19092"]})
    broker = ConfigResource(ConfigResource.Type.BROKER, "1")
    known = next(iter(client.describe_configs([broker]).values())).result(20)
    given = properties_of(SERVICES["kafka"]["environment"])
    # It tells those that it does not know, too, but not their values, which may be secrets to somebody.
    assert [name for name in given if name not in known or known[name].value is None] == []
    assert known["message.max.bytes"].value == given["message.max.bytes"]


@pytest.fixture(scope="module")
def composed(home: Path, secrets: Path) -> Iterator[tuple[Path, int]]:
    """A true Elasticsearch with the settings of the compose file and what the script of certificates made:
    the folder that stands for that of the image, and the port."""
    if shutil.which("unzip") is None or shutil.which("curl") is None:
        pytest.skip("needs the programs unzip and curl, which Elasticsearch's image has")
    environ = SERVICES["elasticsearch"]["environment"]
    programs = image_programs(home)
    name = embedded_elasticsearch.NAME
    layout, account = folders(home / "composed", name)
    line, java = choose_line(layout, None, account)
    distribution = unpacked(read_lock()[f"{name}-{line}"], layout, account)
    conf = layout.conf(name)
    shutil.copy(secrets / "elastic_password", home / "elastic_password")
    make_certificates(DEPLOY, home, programs)
    server = embedded_elasticsearch.Elasticsearch(distribution, java, layout, account, 512)
    with chooser(home / "ports") as choice:
        port, transport = choice.free(), choice.free()
        launch = server.prepare(port, transport)
        ours = (conf / "elasticsearch.yml").read_text(encoding="utf-8")
        addresses = [one for one in ours.splitlines() if re.match(r"network|http\.port|transport|path", one)]
        settings = [f"{key}: {value}" for key, value in environ.items() if "." in key]
        with create(conf / "elasticsearch.yml", account) as file:
            file.write("\n".join([*addresses, *settings]).encode())
        (conf / "server").mkdir()
        for made in (home / "server").iterdir():
            with create(conf / "server" / made.name, account) as file:
                file.write(made.read_bytes())
        # What the image does with ELASTIC_PASSWORD_FILE.
        path = environ["ELASTIC_PASSWORD_FILE"].replace("/usr/share/elasticsearch/config", str(conf))
        keystore = {**programs, "ES_PATH_CONF": str(conf)}
        for words, given in (
            (["create"], b""),
            (["add", "-x", "-f", "bootstrap.password"], Path(path).read_bytes()),
        ):
            subprocess.run(
                ["elasticsearch-keystore", *words], env=keystore, input=given, check=True, capture_output=True
            )
        with (conf / "elasticsearch.keystore").open("rb") as made_keystore:
            content = made_keystore.read()
        with create(conf / "elasticsearch.keystore", account) as file:
            file.write(content)
        started = Started(layout, name, launch)
    image = home / "image"
    image.mkdir()
    (image / "config").symlink_to(conf)
    try:
        started.wait(lambda: _checked(image, port) == 0)
        yield image, port
    finally:
        started.end()


def _checked(image: Path, port: int, change: tuple[str, str] = ("", "")) -> int:
    """The status of the compose file's own health check, run as the engine would."""
    kind, command = SERVICES["elasticsearch"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    command = command.replace("$$", "$").replace("localhost:9200", f"localhost:{port}")
    return subprocess.run(
        ["sh", "-c", command.replace(*change)], cwd=image, capture_output=True, check=False
    ).returncode


def test_elasticsearch_starts_with_the_certificate_and_is_found_well(composed: tuple[Path, int]) -> None:
    image, port = composed
    assert _checked(image, port) == 0
    assert _checked(image, port, ("https:", "http:")) != 0
    assert _checked(image, port, ("elastic:", "elastic:x")) != 0
    assert _checked(image, port, ("--cacert config/server/ca.crt ", "")) != 0


@pytest.fixture(scope="module")
def elastic(home: Path) -> Iterator[SecuredElasticsearch]:
    """A true Elasticsearch that knows nobody but its administrator."""
    if openssl() is None or shutil.which("curl") is None:
        pytest.skip("needs the programs openssl and curl")
    authority = Authority(home / "authority")
    with secured_elasticsearch(home, authority, authority.issue("elasticsearch"), {}) as server:
        yield server


def _accounts(server: SecuredElasticsearch, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(DEPLOY / "elasticsearch" / "accounts.sh")],
        env={
            "PATH": os.environ["PATH"],
            "ELASTICSEARCH_URL": server.url,
            "CA_FILE": str(server.authority),
            "SECRETS_FOLDER": str(folder),
            "ROLE_FILE": str(DEPLOY / "elasticsearch-role.json"),
            "ADMIN_NAME": ADMIN,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def _as_groundswell(server: SecuredElasticsearch, password: str) -> Elasticsearch:
    settings: ElasticsearchSettings = server.settings("t", username="groundswell", password=Secret(password))
    context = ssl.create_default_context(cafile=server.authority)
    return Elasticsearch(
        server.url, ssl_context=context, basic_auth=(settings.username, settings.password.reveal())
    )


@pytest.mark.parametrize("password", ["letters", 'a "quoted" \\ password; with $HOME'])
def test_the_script_of_accounts_makes_a_user_with_the_rights_of_the_role_file(
    password: str, elastic: SecuredElasticsearch, tmp_path: Path
) -> None:
    (tmp_path / "elastic_password").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "groundswell_password").write_text(password, encoding="utf-8")
    for _ in range(2):
        done = _accounts(elastic, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert password not in done.stdout + done.stderr
    with _as_groundswell(elastic, password) as client:
        me = client.security.authenticate()
        assert (me["username"], me["roles"]) == ("groundswell", ["groundswell"])
        shipped = msgspec.json.decode((DEPLOY / "elasticsearch-role.json").read_bytes())
        had = client.security.has_privileges(
            cluster=[*shipped["cluster"], "all"],
            index=[
                {"names": ["groundswell-cases"], "privileges": shipped["indices"][0]["privileges"]},
                {"names": ["others"], "privileges": ["read", "write", "manage"]},
            ],
        )
        assert {name for name, has in had["cluster"].items() if has} == set(shipped["cluster"])
        assert all(had["index"]["groundswell-cases"].values())
        assert not any(had["index"]["others"].values())


def test_the_script_of_accounts_fails_where_it_is_refused(
    elastic: SecuredElasticsearch, tmp_path: Path
) -> None:
    for name in ("elastic_password", "groundswell_password"):
        (tmp_path / name).write_text("guessed", encoding="utf-8")
    done = _accounts(elastic, tmp_path)
    assert done.returncode != 0
    assert "401" in done.stderr


def test_the_variables_of_compose_open_both_servers(
    brokers: dict[str, str], elastic: SecuredElasticsearch, secrets: Path, tmp_path: Path
) -> None:
    """With the passwords of one script and the user of the other, `check` finds nothing wrong."""
    made = {name: (secrets / name).read_bytes() for name in ("groundswell_password", "kafka_password")}
    for name, content in {**made, "elastic_password": PASSWORD.encode()}.items():
        (tmp_path / name).write_bytes(content)
    assert _accounts(elastic, tmp_path).returncode == 0
    there = {
        "/run/secrets": str(tmp_path),
        "/authority/ca.crt": str(elastic.authority),
        "/etc/groundswell/groundswell.toml": os.devnull,
        "/var/lib/groundswell": str(tmp_path),
        "kafka:29092": brokers["29092"],
        "https://elasticsearch:9200": elastic.url,
    }
    environ = dict(SERVICES["index"]["environment"])
    for name, value in environ.items():
        for inside, outside in there.items():
            value = value.replace(inside, outside)
        environ[name] = value
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", "check", "--servers", "--format", "csv"],
        env=surroundings(os.environ, **environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong" not in done.stdout
    assert {"kafka", "elasticsearch"} <= set(re.findall(r"[a-z]+", done.stdout))
