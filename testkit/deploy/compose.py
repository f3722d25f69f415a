"""docker-compose.yml held against its published schema, against itself and against the code."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from pipeline.app import supervisor
from testkit.deploy import container
from testkit.deploy.container import Container
from testkit.deploy.servers import is_ours, server_problems

Compose = Mapping[str, Any]

ENDS, WELL = "service_completed_successfully", "service_healthy"
USABLE_BYTES = 7 << 30
"""What all services may take together: a machine of 8 GB has room for them."""

HEAP_SHARE = {"kafka": 0.6, "elasticsearch": 0.5}
"""Of the limit; the rest is for what Java keeps outside, and Elasticsearch wants as much again."""


def read(root: Path) -> Compose:
    """The file of the repository at ``root``."""
    compose: Compose = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))
    return compose


@cache
def _schema() -> Any:
    """The checker of the schema that the package check-jsonschema brings along."""
    jsonschema: Any = import_module("jsonschema")
    found = importlib.util.find_spec("check_jsonschema")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(path.read_bytes())
    return jsonschema.validators.validator_for(schema)(schema)


def schema_problems(compose: Compose) -> list[str]:
    """What the published schema of compose files says against it."""
    return [f"schema: {'.'.join(map(str, e.path))}: {e.message}" for e in _schema().iter_errors(compose)]


def problems(compose: Compose, root: Path, scratch: Path) -> list[str]:
    """All that is wrong, as sentences. ``root`` is the repository; ``scratch`` is for stand-ins of secrets
    and volumes."""
    found = schema_problems(compose)
    if found:
        return found
    services = compose["services"]
    found += [*_names(compose, root), *_order(services), *_dollars(compose), *_memory(services)]
    for name, service in services.items():
        found += [f"{name}: {problem}" for problem in _service(service)]
        if is_ours(service):
            found += container.problems(as_container(name, compose, root, scratch))
            found += [f"{name}: {problem}" for problem in _ours(service)]
    return found + server_problems(services, root, made_by_certificates(root))


def mounts(service: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Source (empty for a volume without a name), target and whether it may be written, of each volume."""
    for text in service.get("volumes", ()):
        parts = text.split(":")
        source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
        yield source, target, "ro" not in parts[2:]


def as_container(name: str, compose: Compose, root: Path, scratch: Path) -> Container:
    """A service of Groundswell's, with stand-ins below ``scratch`` for what is not in the repository."""
    service = compose["services"][name]
    files: dict[str, Path] = {}
    writable = []
    for source, target, may_write in mounts(service):
        files[target] = root / source if source.startswith(".") else scratch / "volumes" / (source or name)
        writable += [target] if may_write else []
    for target in service.get("tmpfs", ()):
        writable.append(target.split(":")[0])
    for config in service.get("configs", ()):
        declared = compose["configs"].get(config["source"], {"file": "nowhere"})
        files[config["target"]] = root / declared["file"]
    for secret in service.get("secrets", ()):
        files[f"/run/secrets/{secret}"] = scratch / "secrets" / secret
    words = service["healthcheck"].get("test", ())
    urls = tuple(word for word in words if word.startswith("http"))
    return Container(
        name, tuple(service["command"]), service.get("environment", {}), files, tuple(writable), urls
    )


def prepare(compose: Compose, root: Path, scratch: Path) -> None:
    """Lays out below ``scratch`` what the secrets and the volume of the authority hold once all is up."""
    (scratch / "secrets").mkdir(parents=True)
    for name in compose["secrets"]:
        (scratch / "secrets" / name).write_text("a password", encoding="utf-8")
    for volume, made in made_by_certificates(root).items():
        (scratch / "volumes" / volume).mkdir(parents=True)
        for name in made:
            (scratch / "volumes" / volume / name).touch()


def made_by_certificates(root: Path) -> dict[str, set[str]]:
    """Volume to the files that the script of certificates puts there."""
    script = (root / "configs" / "deploy" / "elasticsearch" / "certificates.sh").read_text(encoding="utf-8")
    made = {"authority": set(), "certificates": set()}  # type: dict[str, set[str]]
    for folder, name in re.findall(r'install .*"\$(authority|server)/([\w.]+)"', script):
        made["authority" if folder == "authority" else "certificates"].add(name)
    return made


def _names(compose: Compose, root: Path) -> list[str]:
    """Whatever a service names is declared, whatever is declared is used, and every file is there."""
    found = []
    used: dict[str, set[str]] = {"volumes": set(), "secrets": set(), "configs": set()}
    for name, service in compose["services"].items():
        used["secrets"] |= set(service.get("secrets", ()))
        used["configs"] |= {config["source"] for config in service.get("configs", ())}
        for source, _, may_write in mounts(service):
            if not source.startswith("."):
                used["volumes"] |= {source} - {""}
            elif may_write or not (root / source).is_file():
                found.append(f"{name}: {source} is no file of the repository that is mounted for reading")
    for kind, names in used.items():
        declared = set(compose.get(kind, ()))
        found += [f"{kind}: {one} is not declared" for one in sorted(names - declared)]
        found += [f"{kind}: {one} is used by nobody" for one in sorted(declared - names)]
    files = [config["file"] for config in compose["configs"].values()]
    return found + [f"configs: {file} is not there" for file in files if not (root / file).is_file()]


def _order(services: Mapping[str, Any]) -> list[str]:
    """Who waits for whom exists, can be waited for in that way, and nobody waits in a circle."""
    found = []
    awaited = set()
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            if other not in services:
                found.append(f"{name} waits for {other}, which is no service")
                continue
            ends = services[other]["restart"] == "no"
            if condition != (ENDS if ends else WELL):
                found.append(f"{name} waits for {other} by {condition}, which never comes or comes too soon")
            awaited |= {other} if ends and service["restart"] != "no" else set()
            if condition == WELL and "test" not in services[other].get("healthcheck", {}):
                found.append(f"{name} waits for {other} to be well, and nothing tells whether it is")
    # `up --wait` takes a container that ended for a failure, unless one that stays waited for it.
    ending = {n for n, s in services.items() if s["restart"] == "no" and not s.get("profiles")}
    found += [f"{one} ends, and no service that stays waits for it" for one in sorted(ending - awaited)]
    try:
        TopologicalSorter({n: s.get("depends_on", {}).keys() for n, s in services.items()}).prepare()
    except CycleError as error:
        found.append(f"services wait in a circle: {error.args[1]}")
    return found


def _dollars(node: Any, at: str = "") -> list[str]:
    """Compose takes what follows a single `$` for a variable; in a command it has to be doubled."""
    if isinstance(node, Mapping):
        return [p for key, value in node.items() for p in _dollars(value, f"{at}.{key}")]
    if isinstance(node, list):
        return [p for value in node for p in _dollars(value, at)]
    single = isinstance(node, str) and re.search(r"\$", node.replace("$$", ""))
    return [f"{at.lstrip('.')}: a single $ is a variable to compose"] if single else []


def bytes_of(text: str) -> int:
    """`512m` and `2g` as bytes."""
    return int(text[:-1]) << {"m": 20, "g": 30}[text[-1]]


def _memory(services: Mapping[str, Any]) -> list[str]:
    """Every service has a limit, all that stay fit together, and Java leaves room for the rest."""
    found = [f"{name}: no mem_limit" for name, service in services.items() if "mem_limit" not in service]
    if found:
        return found
    together = sum(bytes_of(s["mem_limit"]) for s in services.values() if s["restart"] != "no")
    if together > USABLE_BYTES:
        found.append(f"all services together may take {together >> 20} MB")
    for name, share in HEAP_SHARE.items():
        options = " ".join(str(v) for k, v in services[name]["environment"].items() if "OPTS" in k)
        heap = re.search(r"-Xmx(\d+[mg])", options)
        limit = bytes_of(services[name]["mem_limit"])
        if heap is None or bytes_of(heap[1]) > share * limit:
            found.append(f"{name}: its heap takes more than {share:.0%} of its limit")
    return found


def _service(service: Mapping[str, Any]) -> list[str]:
    """What holds for every service."""
    targets = {target for _, target, _ in mounts(service)}
    found = [
        f"{word} is run, and no such file is mounted"
        for word in service.get("entrypoint", ())
        if "/" in word and word not in targets
    ]
    found += [
        f"{one}: published beyond this machine"
        for one in service.get("ports", ())
        if not one.startswith("127.0.0.1:")
    ]
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", ()):
        found.append("has rights that it does not need")
    if service.get("privileged") or service.get("pid") == "host" or service.get("network_mode") == "host":
        found.append("is no container any more")
    if str(service.get("user", "")).startswith("0") and service["restart"] != "no":
        found.append("runs as root")
    if service["restart"] not in ("no", "unless-stopped"):
        found.append(f"restart is {service['restart']}")
    if service["restart"] != "no" and "test" not in service.get("healthcheck", {}):
        found.append("nothing tells whether it is well")
    return found


def seconds_of(text: str) -> float:
    """`90s` and `2m` as seconds."""
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def _ours(service: Mapping[str, Any]) -> list[str]:
    """What holds for services of our own image."""
    found = []
    if not service.get("read_only") or "/tmp" not in {t.split(":")[0] for t in service.get("tmpfs", ())}:
        found.append("its file system is not read-only, or /tmp is no tmpfs")
    if seconds_of(service["stop_grace_period"]) < supervisor.STOP_SECONDS + 10:
        found.append("is killed before its roles had their time to end")
    if service.get("ports"):
        found.append("publishes pages that have no password")
    if "user" in service:
        found.append("the user is the image's own")
    return found
