"""The error tree, ordered by what the runtime should do next.

::

    GroundswellError
    ├── ConfigError      a person must change something first; exit status 2
    ├── FatalError       this process cannot go on; exit status 1, the supervisor decides
    ├── RetryableError   the other side is away or busy; wait ``retry_after`` seconds and try again
    └── RejectedError    this one post is at fault; set it aside with the reason and go on

Every message is one sentence for the person who reads it, and says what to do where there is
something to do. Nothing here knows Kafka, Elasticsearch or HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence


class GroundswellError(Exception):
    """Root of all errors that Groundswell raises on purpose."""


class ConfigError(GroundswellError):
    """A setting, a file or a call is wrong: only a person can mend it."""


class FatalError(GroundswellError):
    """The process cannot do its work any longer."""


class RetryableError(GroundswellError):
    """The same attempt may succeed later.

    ``retry_after`` is in seconds; None lets the caller's own back-off decide.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RejectedError(GroundswellError):
    """One post cannot be processed. ``reason`` is a short stable code, the message explains it."""

    def __init__(self, message: str, reason: str = "invalid") -> None:
        super().__init__(message)
        self.reason = reason


def raise_problems(problems: Sequence[str], origin: str) -> None:
    """Raises one ConfigError that lists every problem under the name of their file; none, and it returns."""
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
        raise ConfigError("\n  ".join([f"{origin}: {count}", *problems]))


def unforeseen(error: BaseException) -> str:
    """What is no error of ours, in words for status and health.

    Not its `repr`: that of a text which cannot be encoded shows all of the text, and that may be a password.
    """
    return f"an unforeseen fault: {type(error).__name__}: {error}"
