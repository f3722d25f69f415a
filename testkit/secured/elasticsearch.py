"""A true Elasticsearch with TLS and sign-in: users of its own files, and API keys of any role.

The embedded distribution lacks the module that the index of API keys is made with; that index is made here
by hand, as this version of the server reads it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from pipeline.core.settings import ElasticsearchSettings, Secret
from pipeline.embedded import elasticsearch
from pipeline.embedded.account import create
from pipeline.embedded.artifacts import read_lock
from pipeline.embedded.distributions import unpacked
from pipeline.embedded.ports import LOOPBACK, chooser
from pipeline.embedded.start import choose_line
from testkit.platform.certificate import Certificate
from testkit.secured.authority import Authority
from testkit.secured.starting import Started, folders

ADMIN = "administrator"
PASSWORD = "no secret, but of a test"
_KEYS = "keys-of-tests"

RoleBody = Mapping[str, Any]
"""As the security API of Elasticsearch takes it: ``cluster`` and ``indices``."""


class SecuredElasticsearch(Struct, frozen=True):
    """``url`` begins with https."""

    url: str
    authority: Path

    def settings(self, prefix: str, **signed_in: Any) -> ElasticsearchSettings:
        """Settings of a client; ``signed_in`` is how."""
        return ElasticsearchSettings(url=self.url, prefix=prefix, ca_file=self.authority, **signed_in)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A request of one who may do anything."""
        return _ask(self.url, self.authority, method, path, body)

    def key(self, role: RoleBody) -> Secret:
        """A new API key that may do what the role says and no more."""
        # A role may say what it is for, the role of a key may not.
        bare = {name: part for name, part in role.items() if name != "description"}
        wanted = {"name": "test", "role_descriptors": {"test": bare}}
        return Secret(self.ask("POST", "/_security/api_key", wanted)["encoded"])


@contextmanager
def secured_elasticsearch(
    home: Path, authority: Authority, certificate: Certificate, users: Mapping[str, RoleBody]
) -> Iterator[SecuredElasticsearch]:
    """The server for the time of the block; each of ``users`` has :data:`PASSWORD` and a role of its own."""
    name = elasticsearch.NAME
    layout, account = folders(home, name)
    line, java = choose_line(layout, None, account)
    distribution = unpacked(read_lock()[f"{name}-{line}"], layout, account)
    server = elasticsearch.Elasticsearch(distribution, java, layout, account, 512)
    with chooser(home / "ports") as choice:
        port, transport = choice.free(), choice.free()
        launch = server.prepare(port, transport)
        conf = layout.conf(name)
        settings = (conf / "elasticsearch.yml").read_text(encoding="utf-8")
        files = {
            "elasticsearch.yml": settings.replace("xpack.security.enabled: false\n", _SECURITY),
            "server.pem": certificate.file.read_text(encoding="utf-8"),
            "server.key": certificate.key.read_text(encoding="utf-8"),
            "authority.pem": authority.file.read_text(encoding="utf-8"),
            **_files_of({ADMIN: _ANYTHING, **users}),
        }
        for file_name, text in files.items():
            with create(conf / file_name, account) as file:
                file.write(text.encode())
        started = Started(layout, name, launch)
    url = f"https://{LOOPBACK}:{port}"
    made = SecuredElasticsearch(url, authority.file)
    try:
        started.wait(lambda: _healthy(made))
        made.ask("PUT", f"/{_KEYS}", _KEYS_INDEX)
        yield made
    finally:
        started.end()


def _healthy(server: SecuredElasticsearch) -> bool:
    try:
        return bool(server.ask("GET", "/_cluster/health")["status"] in ("yellow", "green"))
    except (OSError, AssertionError):
        return False


_SECURITY = """\
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.enrollment.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: server.pem
xpack.security.http.ssl.key: server.key
xpack.security.transport.ssl.enabled: true
xpack.security.transport.ssl.certificate: server.pem
xpack.security.transport.ssl.key: server.key
xpack.security.transport.ssl.certificate_authorities: authority.pem
"""

_ANYTHING = {
    "cluster": ["all"],
    "indices": [{"names": ["*"], "privileges": ["all"], "allow_restricted_indices": True}],
}

_KEYS_INDEX = {
    "aliases": {".security": {"is_hidden": True}},
    "settings": {
        "index": {"hidden": True, "format": 6, "number_of_replicas": 0},
        "analysis": {
            "analyzer": {"email": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase"]}}
        },
    },
}


def _files_of(roles: Mapping[str, RoleBody]) -> dict[str, str]:
    """The file realm: every role has the name of its one user."""
    # JSON is YAML.
    return {
        "users": "".join(f"{name}:{_hash(PASSWORD)}\n" for name in roles),
        "users_roles": "".join(f"{name}:{name}\n" for name in roles),
        "roles.yml": json.dumps(roles, indent=1),
    }


def _hash(password: str) -> str:
    salt = os.urandom(32)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10_000, 32)
    encoded = (base64.b64encode(part).decode() for part in (salt, digest))
    return "{PBKDF2}10000$" + "$".join(encoded)


def _ask(url: str, authority: Path, method: str, path: str, body: Any) -> Any:
    sign_in = base64.b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        url + path,
        None if body is None else json.dumps(body).encode(),
        {"authorization": f"Basic {sign_in}", "content-type": "application/json"},
        method=method,
    )
    context = ssl.create_default_context(cafile=authority)
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
