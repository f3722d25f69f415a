"""Writing the lock file: which artifacts the servers consist of, with their sums.

Run by a developer who moves to new versions (``python -m pipeline.embedded.artifacts --relock``), never at
run time. The sums are taken from what the repository serves on that day: look at the diff before committing
it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.embedded.artifacts import Artifact, Bundle

KAFKA = ("org.apache.kafka", "kafka_2.13", "4.1.2")
# Without a backend for slf4j Kafka logs nothing; log4j-core comes with Kafka and rotates its file.
KAFKA_LOGGING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.3")
ELASTICSEARCH = ("org.elasticsearch.distribution.integ-test-zip", "elasticsearch")
ELASTICSEARCH_LINES = {"8": "8.19.21", "9": "9.5.3"}


def resolve(say: Callable[[str], None]) -> dict[str, Bundle]:
    """All bundles, from the repository. Downloads about 300 MB into a temporary folder."""
    from jgo.maven import Dependency, MavenContext, PythonResolver

    with tempfile.TemporaryDirectory(prefix="groundswell-relock-") as folder:
        resolver = PythonResolver()
        context = MavenContext(repo_cache=Path(folder), resolver=resolver)

        def one(group: str, name: str, version: str, packaging: str = "jar") -> Artifact:
            file = context.project(group, name).at_version(version).artifact(packaging=packaging).resolve()
            say(f"{group}:{name}:{version}")
            return locked_artifact(group, name, version, packaging, Path(file))

        root = context.project(KAFKA[0], KAFKA[1]).at_version(KAFKA[2]).artifact()
        _, nodes = resolver.get_dependency_list([Dependency(root)])
        closure = {KAFKA, KAFKA_LOGGING} | {(n.dep.groupId, n.dep.artifactId, n.dep.version) for n in nodes}
        bundles = {
            "kafka": Bundle("Kafka", KAFKA[2], tuple(one(*coordinates) for coordinates in sorted(closure)))
        }
        for line, version in ELASTICSEARCH_LINES.items():
            zipped = one(*ELASTICSEARCH, version, "zip")
            bundles[f"elasticsearch-{line}"] = Bundle("Elasticsearch", version, (zipped,))
        return bundles


def locked_artifact(group: str, name: str, version: str, packaging: str, file: Path) -> Artifact:
    """The lock's entry for ``file``."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Artifact(group, name, version, packaging, digest, file.stat().st_size)
