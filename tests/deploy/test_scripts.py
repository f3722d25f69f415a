"""The scripts that deployment runs: the passwords, the certificate of Elasticsearch, its accounts."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from testkit.deploy import compose
from testkit.deploy.compose import made_by_certificates
from testkit.deploy.image import image_programs, make_certificates

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "configs" / "deploy"
COMPOSE = compose.read(ROOT)

SCRIPTS = sorted(DEPLOY.rglob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one(script: Path) -> None:
    shell = script.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!")
    subprocess.run([shell, "-n", str(script)], check=True)
    assert os.access(script, os.X_OK)


def _secrets(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(DEPLOY / "secrets.sh"), str(folder)], capture_output=True, text=True, check=True
    )


def test_the_passwords_are_those_that_compose_wants(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    _secrets(folder)
    wanted = {Path(secret["file"]) for secret in COMPOSE["secrets"].values()}
    assert {Path("secrets", path.name) for path in folder.iterdir()} == wanted
    made = {path.name: path.read_text(encoding="ascii") for path in folder.iterdir()}
    users = made.pop("kafka_users")
    assert len(set(made.values())) == len(made)
    assert all(len(text) == 32 and text.isalnum() for text in made.values())
    assert f'user_groundswell="{made["kafka_password"]}";' in users


def test_the_passwords_are_nobody_elses_and_stay(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    _secrets(folder)
    before = {path.name: path.read_text(encoding="ascii") for path in folder.iterdir()}
    # The folder keeps others out; a container's user, who gets the file alone, must read it.
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert "is there already" in _secrets(folder).stdout
    assert {path.name: path.read_text(encoding="ascii") for path in folder.iterdir()} == before


def test_the_passwords_are_never_committed() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs git and a clone")
    for secret in COMPOSE["secrets"].values():
        subprocess.run(["git", "check-ignore", "--quiet", secret["file"]], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def programs(server_home: Path) -> dict[str, str]:
    """The environment of Elasticsearch's image as far as the script needs it: its programs in the path."""
    if shutil.which("unzip") is None:
        pytest.skip("needs the program unzip, which Elasticsearch's image has")
    return image_programs(server_home)


def test_the_certificate_is_of_the_authority_and_of_the_service(
    tmp_path: Path, programs: dict[str, str]
) -> None:
    (tmp_path / "elastic_password").write_text("one", encoding="ascii")
    make_certificates(DEPLOY, tmp_path, programs)
    server, authority = tmp_path / "server", tmp_path / "authority"
    made = made_by_certificates(ROOT)
    assert {path.name for path in server.iterdir()} == made["certificates"]
    assert {path.name for path in authority.iterdir()} == made["authority"] == {"ca.crt"}
    for private in ("elasticsearch.key", "elastic_password"):
        assert (server / private).stat().st_mode & 0o777 == 0o400
    # Whoever trusts the authority takes it for the service, and for nobody else.
    for name in ("elasticsearch", "localhost"):
        assert _shakes_hands(server, authority / "ca.crt", name)
    assert not _shakes_hands(server, authority / "ca.crt", "elastic")

    key = (server / "elasticsearch.key").read_bytes()
    (tmp_path / "elastic_password").write_text("two", encoding="ascii")
    make_certificates(DEPLOY, tmp_path, programs)
    assert (server / "elasticsearch.key").read_bytes() == key, "a repeat makes no other certificate"
    assert (server / "elastic_password").read_text(encoding="ascii") == "two"


def _shakes_hands(server: Path, authority: Path, name: str) -> bool:
    """Whether a client who asks for ``name`` trusts the server; both in memory."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(server / "elasticsearch.crt", server / "elasticsearch.key")
    ours = ssl.create_default_context(cafile=authority)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(to_client, to_server, server_hostname=name)
    listening = theirs.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, listening):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return client.version() is not None
