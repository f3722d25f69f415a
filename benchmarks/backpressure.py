"""A server away for minutes at full inflow: does collection go on, does memory stay flat, is all caught up?

    python benchmarks/backpressure.py --server elasticsearch --minutes 10 --rate 1000

Ends with status 1 when a role takes a fifth more memory at the end of the outage than at its middle, when
posts are missing at the end, or, without Elasticsearch, when less was collected than came in.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from pipeline.embedded.servers import running
from testkit.chaos.ground import Ground
from testkit.chaos.outage import ROLES, Course, outage

GROWTH = 1.2


def main() -> int:
    """Plays the outage and prints what was seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--server", choices=("elasticsearch", "kafka"), default="elasticsearch")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=1000, help="posts a second")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as home,
        running(Path(home)) as addresses,
    ):
        ground = Ground(addresses, Path(home))
        seconds = args.minutes * 60
        course = outage(args.server, ground, Path(folder), seconds=seconds, rate=args.rate, warm=30)
    show(course)
    faults = list(wrong(course, args.server))
    print("\n".join(faults) or "all is well")
    return 1 if faults else 0


def show(course: Course) -> None:
    """The table."""
    during = course.during
    rows = {
        "before": course.before[-1],
        "midway": during[len(during) // 2],
        "its end": during[-1],
        "after": course.after[-1],
    }
    print(f"{'':8} {'s':>6} {'written':>9} {'cursor':>9} {'posts':>9} {'events':>9} {'indexed':>9}   MB")
    for name, look in rows.items():
        counts = (look.written, look.cursor, look.posts, look.events, look.indexed)
        cells = " ".join(f"{'-' if count is None else count:>9}" for count in counts)
        memory = ", ".join(f"{role} {size:.0f}" for role, size in look.memory.items())
        print(f"{name:8} {look.at:>6.0f} {cells}   {memory}")
    print(f"caught up in {course.caught_up:.0f} s; {course.documents} documents")


def wrong(course: Course, server: str) -> list[str]:
    """What is not as it must be."""
    middle, end = course.during[len(course.during) // 2], course.during[-1]
    faults = [
        f"{role} takes {end.memory[role]:.0f} MB at the end, {middle.memory[role]:.0f} at the middle"
        for role in ROLES
        if end.memory.get(role, 0) > GROWTH * middle.memory.get(role, 0)
    ]
    if course.documents != course.after[-1].written:
        faults.append(f"{course.after[-1].written} posts were written, {course.documents} are there")
    if server == "elasticsearch" and end.posts is not None and end.posts < 0.98 * end.written:
        faults.append(f"only {end.posts} of {end.written} posts were collected meanwhile")
    if server == "kafka" and end.cursor > course.during[1].cursor:
        faults.append("a cursor moved without Kafka")
    return faults


if __name__ == "__main__":
    sys.exit(main())
