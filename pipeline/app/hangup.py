"""What SIGHUP means: "look again" to a daemon, "your terminal is gone" to whoever was started from one."""

from __future__ import annotations

import os
import signal


class Terminal:
    """The terminal that this process was started from, if any. Make it before SIGHUP is handled."""

    def __init__(self) -> None:
        # Whoever was started by nohup is to outlive its terminal.
        self._bound = _reachable() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def is_gone(self) -> bool:
        """Whether a SIGHUP that came now tells that there is nobody left to work for."""
        return self._bound and not _reachable()


def _reachable() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
