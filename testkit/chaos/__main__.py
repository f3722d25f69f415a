"""Rounds of chaos on embedded servers of their own: `make chaos`, or

python -m testkit.chaos --seed 7 --rounds 1 --posts 50000 --without freeze-enrich
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from pipeline.embedded.servers import running
from testkit.chaos.faults import FAULTS
from testkit.chaos.ground import Ground
from testkit.chaos.mutant import MUTANTS
from testkit.chaos.round import Outcome, Plan, plan, play, program_of
from testkit.chaos.verdict import summary


def say(text: str) -> None:
    """Told at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    """The call."""
    parser = argparse.ArgumentParser(prog="testkit.chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the first round")
    parser.add_argument("--rounds", type=int, default=20, help="the seed of each is one above that before")
    parser.add_argument("--posts", type=int, default=50_000, help="lines of a round (default: 50,000)")
    parser.add_argument("--faults", type=int, default=6, help="faults of a round")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=[], metavar="FAULT")
    parser.add_argument("--without", nargs="+", choices=FAULTS, default=[], metavar="FAULT")
    parser.add_argument("--mutant", choices=MUTANTS, help="plant this fault; success is that it is found")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds in which a round has to settle")
    return parser.parse_args()


def main() -> int:
    """0 when every round was green; with a mutant, when a round was red."""
    args = arguments()
    # Whoever ends the suite ends the servers that it started, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = [name for name in args.only or FAULTS if name not in args.without]
    folder = Path(tempfile.mkdtemp(prefix="groundswell-chaos-"))
    # A folder that the servers' own account may enter, which it may not with those below another's.
    servers = Path(tempfile.mkdtemp(prefix="groundswell-chaos-servers-"))
    red = 0
    with running(servers) as addresses:
        for seed in range(args.seed, args.seed + args.rounds):
            chosen = plan(seed, args.posts, args.faults, names)
            outcome = one(chosen, Ground(addresses, servers), folder, args)
            if outcome.faults:
                red += 1
                if args.mutant:
                    break
    shutil.rmtree(servers, ignore_errors=True)
    if not red or args.mutant:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"{args.rounds - red} of {args.rounds} rounds green" if not args.mutant else "")
    return int(bool(red) != bool(args.mutant))


def one(chosen: Plan, ground: Ground, folder: Path, args: argparse.Namespace) -> Outcome:
    """Plays a round and tells of it."""
    say(f"round of seed {chosen.seed}: {', '.join(chosen.faults)}")
    home = folder / f"round-{chosen.seed}"
    home.mkdir()
    outcome = play(chosen, ground, home, program_of(args.mutant), args.limit)
    for end in outcome.ends:
        say(f"  {end}")
    seconds = ", ".join(f"{part} {taken:.0f} s" for part, taken in outcome.seconds.items())
    if not outcome.faults:
        say(f"  green: {seconds}")
        shutil.rmtree(home, ignore_errors=True)
        return outcome
    say(f"  RED: {seconds}; logs are in {home}\n{summary(outcome.faults)}")
    say(f"  once more: make chaos SEED={chosen.seed} ROUNDS=1 POSTS={chosen.posts}")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
