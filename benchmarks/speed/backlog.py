"""A backlog worked off: is the last of it as fast as the first, and does the memory of the workers stay flat?

The posts wait in their topic before the workers start, as after two hours without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bench import Bench
from child import cpu_seconds
from msgspec import Struct, structs
from outputs import LIMIT_SECONDS, Ends, WrongOutput, check_index, indexed, searchable
from posts import lines_of, varied
from resident import resident
from rows import Row

from pipeline.app.daemon import Daemon
from pipeline.app.topics import topics_of
from testkit.installation import Installation

PAUSE = 0.5
ROLES = ("enrich", "index")
AS_FAST = 0.9
"""Of the first quarter's posts a second, the last quarter must have so much."""
AS_DEAR = 1.1
"""Times the first quarter's CPU a post, the last quarter may take so much."""
AS_FLAT = 1.1
"""Times the first half's memory, the last quarter may hold so much."""
MEGABYTES = 500


class Sample(Struct, frozen=True):
    """One look: seconds since 1970, and of each role how many posts are done, the bytes that it holds and the
    CPU seconds that it has used."""

    at: float
    done: tuple[int, ...]
    held: tuple[int, ...]
    spent: tuple[float, ...]


def backlog(bench: Bench, count: int) -> list[Row]:
    """Runs it. Raises WrongOutput unless all of it can be found in the end."""
    found = varied(count)
    ids, lines = [post["id"] for post in found], lines_of(found)
    del found
    installation = bench.install("backlog", ids, lines)
    events, pattern = topics_of(installation.settings.kafka).events.name, f"{installation.prefix}-posts-*"
    ends = Ends(bench.kafka, events)
    done = (ends.count, lambda: indexed(bench.client, pattern))
    daemon = installation.daemon(*ROLES)
    try:
        samples = _watch(installation, daemon, done, count, lambda: searchable(bench.client, pattern))
    finally:
        ends.close()
        installation.close()
    check_index(bench.client, pattern, ids)
    bench.drop_index(pattern)
    return [row for number, role in enumerate(ROLES) for row in _rows(role, number, samples, count)]


def _watch(
    installation: Installation,
    daemon: Daemon,
    done: Sequence[Callable[[], int]],
    count: int,
    found: Callable[[], int],
) -> list[Sample]:
    samples: list[Sample] = []
    deadline = time.monotonic() + LIMIT_SECONDS
    while not samples or min(samples[-1].done) < count or found() < count:
        pids = [installation.role_pid(role) for role in ROLES]
        held = tuple(resident(pid) if pid else 0 for pid in pids)
        spent = tuple(map(cpu_seconds, pids))
        samples.append(Sample(time.time(), tuple(min(one(), count) for one in done), held, spent))
        daemon.check()
        if time.monotonic() > deadline:
            raise WrongOutput(f"of a backlog of {count}: {samples[-1].done} after {LIMIT_SECONDS:.0f} s")
        time.sleep(PAUSE)
    return samples


def _rows(role: str, number: int, samples: Sequence[Sample], count: int) -> list[Row]:
    began, quarter, three, whole = (
        _at(samples, number, max(count * share // 4, 1)) for share in (0, 1, 3, 4)
    )
    # A backlog that is done between two looks has but its first and its last.
    early = [s.held[number] for s in samples if began.at <= s.at <= (began.at + whole.at) / 2]
    late = [s.held[number] for s in samples if three.at <= s.at <= whole.at]
    early, late = early or [began.held[number]], late or [whole.held[number]]
    spent = [quarter.spent[number] - began.spent[number], whole.spent[number] - three.spent[number]]
    area = "backlog"
    return [
        Row(area=area, what=f"{role}: posts/s over all", got=count / (whole.at - began.at), unit="/s"),
        Row(
            area=area,
            what=f"{role}: posts/s, last quarter",
            beside="the first quarter",
            got=(quarter.at - began.at) / (whole.at - three.at),
            goal=AS_FAST,
        ),
        Row(
            area=area,
            what=f"{role}: CPU a post, last quarter",
            beside="the first quarter",
            got=spent[1] / spent[0] if spent[0] else 0.0,
            goal=AS_DEAR,
            at_most=True,
        ),
        Row(
            area=area,
            what=f"{role}: most memory, bar the directory",
            got=max(early + late) / 1e6,
            unit="MB",
            goal=MEGABYTES,
            at_most=True,
        ),
        Row(
            area=area,
            what=f"{role}: memory, last quarter",
            beside="the first half",
            got=max(late) / max(early),
            goal=AS_FLAT,
            at_most=True,
        ),
    ]


def _at(samples: Sequence[Sample], number: int, wanted: int) -> Sample:
    """The moment when so many were done, between two looks as a straight line has it."""
    before = samples[0]
    for sample in samples:
        if sample.done[number] >= wanted:
            done = before.done[number], sample.done[number]
            share = (wanted - done[0]) / (done[1] - done[0]) if done[1] > done[0] else 1.0
            return structs.replace(
                sample,
                at=before.at + share * (sample.at - before.at),
                spent=tuple(a + share * (b - a) for a, b in zip(before.spent, sample.spent, strict=True)),
            )
        before = sample
    return samples[-1]
