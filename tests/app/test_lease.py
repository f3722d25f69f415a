"""The lease: nobody else can have the partitions while it is fresh, and a stopped process sees its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from pipeline.app.lease import SHARE, Lease
from testkit.waiting import until


def test_it_runs_from_the_asking_and_not_from_the_answer() -> None:
    moment = [100.0]
    lease = Lease(10, lambda: moment[0])
    assert not lease.fresh, "whoever never asked has nothing"
    moment[0] = 105
    lease.renew(asked=100)
    moment[0] = 100 + 10 * SHARE - 0.01
    assert lease.fresh
    moment[0] = 100 + 10 * SHARE
    assert not lease.fresh
    lease.renew(asked=moment[0])
    assert lease.fresh


STOPPED = """
from pipeline.app.lease import Lease
lease = Lease(3)
lease.renew(lease.clock())
print(lease.fresh, flush=True)
input()
print(lease.fresh, flush=True)
"""


def test_the_time_of_a_stopped_process_runs_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "True\n"
        process.send_signal(signal.SIGSTOP)
        began = Lease(3)
        began.renew(began.clock())
        until(lambda: not began.fresh)
        os.kill(process.pid, signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "False\n"
