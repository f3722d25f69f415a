"""Which posts are to be enriched once more: pure.

A post is stale when its event carries another version of a step than the step has now. So who asks again
finds what is left, and at last nothing: no place in the log needs to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from pipeline.core.errors import ConfigError, RejectedError
from pipeline.core.post import Time
from pipeline.core.process import Chain
from pipeline.core.rerouting import HELD_MARK, STEP
from pipeline.core.schema import suggestion

IsCurrent = Callable[[str], bool]
"""Whether a version of a step, as it stands in an event, is as good as the present one."""

Verdict = Literal["stale", "current", "deleted", "other"]
"""``other`` is a post that was not asked for."""


class _Post(Struct, frozen=True):
    id: str
    source: str = ""
    created_at: Time | None = None
    collected_at: Time | None = None
    deleted: bool = False


class Glance(Struct, frozen=True):
    """As much of an event as is needed to choose it."""

    post: _Post
    version: int
    processed_at: Time
    versions: dict[str, str] = {}

    @property
    def written_at(self) -> datetime:
        """When the post was written, as far as that is known."""
        return self.post.created_at or self.post.collected_at or self.processed_at


_decode = msgspec.json.Decoder(Glance).decode


def glance_at(raw: bytes) -> Glance:
    """As much of an event; raises RejectedError where it is none."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RejectedError(f"no valid event: {error}", "invalid") from None


class Wish(Struct, frozen=True, kw_only=True):
    """What was asked for: posts written from ``since`` on and before ``until``, of one ``source``, that are
    stale in one of ``steps``; where none is named, in any. ``new_cases``: they may come to more queues."""

    since: datetime | None = None
    until: datetime | None = None
    source: str = ""
    steps: tuple[str, ...] = ()
    new_cases: bool = False


class Choice:
    """A wish, held against events. ConfigError where a step is named that the chain does not have."""

    def __init__(self, wish: Wish, chain: Chain) -> None:
        known = chain.versions
        for name in wish.steps:
            if name not in known:
                raise ConfigError(f"`{name}` is not among enrich.steps{suggestion(name, known)}")
        self._wish = wish
        self._versions = known
        self._all = not wish.steps
        self._steps = _judges(chain, wish.steps or tuple(known), new_cases=wish.new_cases)

    def verdict(self, glance: Glance) -> Verdict:
        """What is to become of the post."""
        wish, post = self._wish, glance.post
        if post.deleted:
            return "deleted"
        if wish.source and post.source != wish.source:
            return "other"
        at = glance.written_at
        if (wish.since and at < wish.since) or (wish.until and at >= wish.until):
            return "other"
        return "current" if self.is_current(glance.versions) else "stale"

    def fault(self, versions: Mapping[str, str]) -> str:
        """In which step an event of these versions would come out otherwise today; empty where in none."""
        if self.is_current(versions):
            return ""
        for name, judge in self._steps.items():
            if name not in versions or not judge(versions[name]):
                return f"`{name}` as {versions.get(name, 'nothing')} in place of {self._versions[name]}"
        return f"the steps {', '.join(versions)} in place of {', '.join(self._steps)}"

    def is_current(self, versions: Mapping[str, str]) -> bool:
        """Whether an event of these versions would come out the same today."""
        if self._all and versions.keys() != self._steps.keys():
            return False
        return all(name in versions and judge(versions[name]) for name, judge in self._steps.items())


def _judges(chain: Chain, names: Sequence[str], *, new_cases: bool) -> dict[str, IsCurrent]:
    judges: dict[str, IsCurrent] = {}
    for name, step in chain.steps:
        if name not in names:
            continue
        version = step.version
        if own := getattr(step, "is_current", None):
            judges[name] = own
        elif name == STEP and not new_cases:
            judges[name] = {version, version + HELD_MARK}.__contains__
        else:
            judges[name] = version.__eq__
    return judges
