"""The manifests for Kubernetes held against their published schema, each other and the code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from pipeline.app import supervisor
from pipeline.app.health import ROLES
from pipeline.core.settings import Settings
from testkit.deploy import container
from testkit.deploy.container import Container

Manifest = Mapping[str, Any]

VERSION = "1.37"
SETTINGS = "groundswell-settings"
"""The ConfigMap that is made from files, as docs/deploy.md says; no manifest of ours has it."""

KINDS_OF_PODS = ("Deployment", "StatefulSet")


def read(folder: Path) -> list[Manifest]:
    """All manifests of a folder, in the order in which kubectl takes them; not those below it."""
    return [
        document
        for path in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def problems(
    manifests: Sequence[Manifest],
    secrets: Sequence[Manifest],
    settings: Mapping[str, Path],
    image: str,
    scratch: Path,
) -> list[str]:
    """All that is wrong, as sentences.

    ``secrets`` are the examples of those that people make, ``settings`` are the files of the ConfigMap that
    they make, ``image`` is ours; ``scratch`` is for stand-ins of secrets and volumes.
    """
    found = [problem for one in (*manifests, *secrets) for problem in _schema(one)]
    if found:
        return found
    places = {manifest["metadata"].get("namespace") for manifest in (*manifests[1:], *secrets)}
    if places != {manifests[0]["metadata"]["name"]}:
        found.append(f"not all in one namespace: {sorted(map(str, places))}")
    found += _policies(manifests)
    for workload in (one for one in manifests if one["kind"] in KINDS_OF_PODS):
        name = workload["metadata"]["name"]
        pod = workload["spec"]["template"]["spec"]
        found += [f"{name}: {problem}" for problem in [*_workload(workload), *_pod(pod, image)]]
        for one in containers(workload, manifests, secrets, settings, scratch):
            found += container.problems(one)
        for part in pod["containers"]:
            found += [f"{part['name']}: {problem}" for problem in _container(part, image)]
    return found


def _schema(manifest: Manifest) -> list[str]:
    """What the published schema says, strictly: unknown keys are mistakes."""
    return list(_schema_of(json.dumps(manifest)))


@cache
def _schema_of(text: str) -> tuple[str, ...]:
    """By the manifest as text: to read a schema takes long, and most manifests come again and again."""
    manifest = json.loads(text)
    checker: Any = import_module("kubernetes_validate")
    try:
        checker.validate(manifest, VERSION, strict=True)
    except checker.ValidationError as error:
        return (f"schema: {manifest['kind']} {'.'.join(map(str, error.path))}: {error.message}",)
    return ()


def containers(
    workload: Manifest,
    manifests: Sequence[Manifest],
    secrets: Sequence[Manifest],
    settings: Mapping[str, Path],
    scratch: Path,
) -> Iterator[Container]:
    """The containers of a workload with what they get; what is not there is nowhere."""
    known = {one["metadata"]["name"]: one["stringData"] for one in secrets}
    maps = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
    pod = workload["spec"]["template"]["spec"]
    claims = {one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", ())}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for part in pod["containers"]:
        files: dict[str, Path] = {}
        writable = []
        for mount in part["volumeMounts"]:
            volume = volumes.get(mount["name"], {})
            if "configMap" in volume and volume["configMap"]["name"] == SETTINGS:
                files[mount["mountPath"]] = _laid_out(scratch / "settings", settings)
            elif "secret" in volume and (content := known.get(volume["secret"]["secretName"])):
                files[mount["mountPath"]] = _laid_out(scratch / volume["name"], content)
            elif "emptyDir" in volume or mount["name"] in claims:
                writable.append(mount["mountPath"])
        environ = {variable["name"]: variable["value"] for variable in part["env"]}
        for source in part["envFrom"]:
            environ |= maps.get(source["configMapRef"]["name"], {"GROUNDSWELL_NOWHERE": "x"})
        ports = {port["name"]: port["containerPort"] for port in part["ports"]}
        probes = [part[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        urls = tuple(f"http://pod:{ports.get(probe['port'], 0)}{probe['path']}" for probe in probes)
        yield Container(part["name"], tuple(part["args"]), environ, files, tuple(writable), urls)


def _laid_out(folder: Path, files: Mapping[str, Path | str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content.read_text(encoding="utf-8") if isinstance(content, Path) else content
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _workload(workload: Manifest) -> list[str]:
    """Labels agree, and what may not run twice never does."""
    spec, pod = workload["spec"], workload["spec"]["template"]["spec"]
    found = []
    if spec["selector"]["matchLabels"] != spec["template"]["metadata"]["labels"]:
        found.append("its selector is not what its pods are labelled with")
    roles = {role for part in pod["containers"] for role in _roles(part["args"])}
    if "collect" in roles and (workload["kind"] != "StatefulSet" or spec["replicas"] != 1):
        found.append("collect may run twice, and read every source twice")
    if "collect" in roles and not spec.get("volumeClaimTemplates"):
        found.append("collect forgets where it stands in its sources")
    if ("enrich" in roles) != ("directory" in roles):
        found.append("enrich needs the role directory beside it")
    if "enrich" in roles and not pod.get("shareProcessNamespace"):
        found.append("enrich and directory cannot share a file without shareProcessNamespace")
    if "enrich" in roles:
        homes = {
            mount["name"]
            for part in pod["containers"]
            for mount in part["volumeMounts"]
            if mount["mountPath"] == "/var/lib/groundswell"
        }
        found += [] if len(homes) == 1 else ["enrich and directory have homes of their own"]
    return found


def _roles(words: Sequence[str]) -> list[str]:
    return words[words.index("--role") + 1].split(",") if "--role" in words else list(ROLES)


def _pod(pod: Manifest, image: str) -> list[str]:
    """Unprivileged, with time to end, and every volume is there and used."""
    found = []
    security = pod["securityContext"]
    user = int(image.split("@")[1])
    if (
        security.get("runAsUser") != user
        or security.get("fsGroup") != user
        or not security.get("runAsNonRoot")
    ):
        found.append(f"does not run as the image's user {user}")
    if security.get("seccompProfile") != {"type": "RuntimeDefault"} or pod["automountServiceAccountToken"]:
        found.append("has more rights than the namespace allows")
    if pod.get("enableServiceLinks", True):
        found.append("a Service may give it variables that are no settings, and it would not start")
    if pod["terminationGracePeriodSeconds"] < supervisor.STOP_SECONDS + 10:
        found.append("is killed before its roles had their time to end")
    return found


def _container(part: Manifest, image: str) -> list[str]:
    """Locked up, limited, of our image, and its probes do what they are for."""
    found = []
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    if part["securityContext"] != wanted:
        found.append("has more rights than the namespace allows")
    if "memory" not in part["resources"].get("limits", {}) or "cpu" not in part["resources"]["requests"]:
        found.append("has no limit of memory, or asks for no processor")
    if part["image"] != image.split("@")[0]:
        found.append(f"the image is {part['image']}, and this is {image.split('@')[0]}")
    # A role that waits is not ready, and to start it again would not help.
    if part["livenessProbe"]["httpGet"]["path"] != "/healthz":
        found.append("is killed for waiting")
    if part["readinessProbe"]["httpGet"]["path"] != "/readyz":
        found.append("is ready before it is")
    return found


def _policies(manifests: Sequence[Manifest]) -> list[str]:
    """Selectors find pods; the ports of the pages and of the servers are those that are let through."""
    found = []
    labels = [
        one["spec"]["template"]["metadata"]["labels"] for one in manifests if one["kind"] in KINDS_OF_PODS
    ]
    for one in manifests:
        if one["kind"] in ("PodDisruptionBudget", "NetworkPolicy", "Service"):
            spec = one["spec"]
            chosen = spec.get("podSelector", spec.get("selector"))
            wanted = chosen.get("matchLabels", {} if "matchExpressions" in chosen else chosen)
            if not any(wanted.items() <= given.items() for given in labels):
                found.append(f"{one['kind']} {one['metadata']['name']} is about no pod")
    ports = {Settings().http.port + number for number in range(len(ROLES))}
    policies = [one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"]
    let_in = _ports(policies, "ingress")
    if let_in != ports:
        found.append(f"Prometheus is let in at {sorted(let_in)}, and the pages are at {sorted(ports)}")
    data = {k: v for one in manifests if one["kind"] == "ConfigMap" for k, v in one["data"].items()}
    brokers = data.get("GROUNDSWELL_KAFKA_BOOTSTRAP", "").split(",")
    asked = {address.rpartition(":")[2] for address in brokers}
    asked |= {str(urlsplit(data.get("GROUNDSWELL_ELASTICSEARCH_URL", "")).port or 443), "53"}
    let_out = {str(port) for port in _ports(policies, "egress")}
    if asked != let_out:
        found.append(f"roles are let out to {sorted(let_out)}, and the servers are at {sorted(asked)}")
    return found


def _ports(policies: Sequence[Mapping[str, Any]], way: str) -> set[int]:
    return {port["port"] for spec in policies for rule in spec.get(way, ()) for port in rule["ports"]}
