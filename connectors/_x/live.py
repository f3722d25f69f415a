"""The stream while it is open, and what of the gap before it the search still has to look for.

The search knows of a post a while after it was written, so each rule is looked for twice: at once, and again
when all that was written before the stream began must be known. Knows nothing of posts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from connectors._x.stream import Stream
from connectors._x.walk import Turns
from pipeline.core.errors import GroundswellError

LATE_SECONDS = 60.0
_LOOKS = 2


class Live:
    """``make`` gives a stream that is not open yet; ``clock`` is in seconds and only grows."""

    def __init__(self, make: Callable[[], Stream], clock: Callable[[], float]) -> None:
        self._make = make
        self._clock = clock
        self._stream: Stream | None = None
        self._opened = 0.0
        self._missing: set[str] = set()
        self._begun: set[str] = set()
        self._looks: Counter[str] = Counter()
        self._turns = Turns(LATE_SECONDS, clock)

    def open(self, rules: Iterable[str]) -> None:
        """Connects where no stream is open, to then look for what these rules missed. Raises its refusal."""
        if self._stream is not None:
            return
        stream = self._make()
        stream.open()
        self._stream, self._opened = stream, self._clock()
        self._missing, self._begun = set(rules), set()
        self._looks, self._turns = Counter(), Turns(LATE_SECONDS, self._clock)

    def close(self) -> None:
        """Hangs up; may be called twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def take(self, at_most: int, patience: float) -> Sequence[bytes]:
        """The next lines, after so many seconds at most. Raises what ended the stream, and hangs up."""
        assert self._stream is not None
        try:
            return self._stream.take(at_most, patience, patience)
        except GroundswellError:
            self.close()
            raise

    def now(self) -> datetime | None:
        """The platform's time; None where it did not say."""
        greeted = self._stream.greeted if self._stream else None
        return greeted + timedelta(seconds=self._clock() - self._opened) if greeted else None

    @property
    def caught_up(self) -> bool:
        """Whether nothing is missing before what the stream tells."""
        return not self._missing

    def to_look_for(self) -> str | None:
        """The rule whose search is due; None where none is."""
        return self._turns.next(sorted(self._missing))

    def looked(self, rule: str, *, from_start: bool, to_end: bool) -> None:
        """A page of its search was read: the first one or not, the last one or not."""
        if from_start:
            self._begun.add(rule)
        # A search that was begun before the stream does not reach up to it.
        whole = to_end and rule in self._begun
        self._turns.took(rule, up_to_now=whole)
        if whole:
            self._begun.discard(rule)
            self._looks[rule] += 1
        if self._looks[rule] == _LOOKS:
            self._missing.discard(rule)
