"""What starting a secured server takes: its folders, its process, its end.

Out of the parts of :mod:`pipeline.embedded`, whose own servers know no security: they listen on loopback.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.embedded import process
from pipeline.embedded.account import Account, account_for, give, make_home
from pipeline.embedded.home import Layout
from pipeline.embedded.process import Launch, State
from testkit.waiting import until

START_SECONDS = 180.0


class Started:
    """A process of one server. ``pid`` is the one to remember it by."""

    def __init__(self, layout: Layout, name: str, launch: Launch) -> None:
        self._layout = layout
        self._mark = process.mark(name, layout.home)
        self._name = name
        self._popen: subprocess.Popen[bytes] = process.spawn(launch, self._mark)
        began = process.start_time(self._popen.pid)
        pid = self._popen.pid
        self._state = State(
            *(name, "running", self._mark, pid, pid, began, time.time(), 0, 0, "", "", "", "", "")
        )

    def wait(self, ready: Callable[[], bool]) -> None:
        """Until it is ready; AssertionError with the end of its log where it is not."""

        def there() -> bool:
            assert process.members(self._state), self._said()
            return ready()

        try:
            until(there, START_SECONDS, f"{self._name} is ready")
        except BaseException:
            self.end()
            raise

    def _said(self) -> str:
        return process.last_words(sorted(self._layout.logs(self._name).glob("*.log")), 20)

    def end(self) -> None:
        """Ends it, gently if it lets us."""
        process.end(self._state, limit=20)


@contextmanager
def passing_home(prefix: str) -> Iterator[Path]:
    """A home that the servers' user can enter, gone behind the block."""
    home = Path(tempfile.mkdtemp(prefix=prefix))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def folders(home: Path, name: str) -> tuple[Layout, Account | None]:
    """The folders of a server below ``home``, its own user's."""
    layout, account = Layout(home), account_for(home)
    make_home(home, account)
    for folder in layout.private(name):
        give(folder, account)
    return layout, account
