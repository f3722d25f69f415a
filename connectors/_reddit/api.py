"""Reddit's interface through praw: signs in, asks, counts what may still be asked, judges the answers.

praw waits and tries again by itself, reads settings of its own from the user's home, and asks whether there
is a newer praw; here it does none of it, for a read must return soon.
"""

from __future__ import annotations

import configparser
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Annotated, ClassVar, cast
from urllib.parse import urlsplit

import msgspec
import praw
import prawcore
from msgspec import Meta, Struct
from praw.config import Config
from prawcore.rate_limit import RateLimiter
from prawcore.sessions import FiniteRetryStrategy

from connectors._loose import count_of, dict_of, read_json, text_of
from connectors._refusal import LONGEST_REST, refused
from connectors._session import Answered, Session
from pipeline.core.errors import ConfigError, GroundswellError, RetryableError
from pipeline.core.protocols import Limit
from pipeline.core.settings import Secret

WHO = "Reddit"
APPS = "https://www.reddit.com/prefs/apps"

# A token is renewed so long before its end.
_MARGIN_SECONDS = 60.0
# A clock of theirs that is further ahead is wrong. One that is behind ours may show that ours is.
_LARGEST_SKEW = 600.0
# A listing shows a hundred at most, and so does a look.
_MOST_CHILDREN = 1000
# Re-checks leave so much of the limit for what is new.
_RESERVE = 0.25


class Children(Struct, frozen=True):
    """What a listing holds; ``after`` names its last thing where another page follows."""

    children: Annotated[list[msgspec.Raw], Meta(max_length=_MOST_CHILDREN)] = []
    after: str | None = None


class _Listing(Struct, frozen=True):
    data: Children


class Credentials(Struct, frozen=True):
    """How we sign in, and where: ``login`` and ``api`` are addresses without a slash at the end."""

    client_id: str
    client_secret: Secret
    user_agent: str
    login: str
    api: str


class _Unhurried(RateLimiter):
    """Never sleeps; the limits are counted here, for all to see."""

    def delay(self) -> None:
        pass

    def update(self, *, response_headers: Mapping[str, str]) -> None:
        pass


@dataclass(frozen=True)
class _Once(FiniteRetryStrategy):
    """The runtime is who tries again."""

    DEFAULT_RETRIES: ClassVar[int] = 0
    retries: int = 0


class Api:
    """One conversation with Reddit. ``timeout`` is in seconds; ``clock`` too, and it only grows."""

    def __init__(
        self,
        credentials: Credentials,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._now = now
        self._session = Session(WHO, timeout=timeout)
        self._reddit = _client(credentials, self._session)
        core = cast(prawcore.Session, self._reddit._core)
        core._rate_limiter = _Unhurried(window_size=600)
        core._retry_strategy_class = _Once
        self._authorizer = cast(prawcore.ReadOnlyAuthorizer, core.authorizer)
        self._renew = 0.0
        self._left: float | None = None
        self._used = 0.0
        self._anew = 0.0
        self.skew = 0.0
        """Seconds that Reddit's clock is ahead of ours; below 0 where it is behind."""

    def __repr__(self) -> str:
        return f"Api({self._credentials.api})"

    @property
    def limits(self) -> list[Limit]:
        """As Reddit last told of them."""
        if self._left is None:
            return []
        left = int(self._left)
        resets = max(self._anew - self._clock(), 0.0)
        return [Limit("requests", left=left, total=left + int(self._used), resets=resets)]

    @property
    def spare(self) -> bool:
        """Whether more may be asked than what is new needs."""
        return self._left is None or self._left > _RESERVE * (self._left + self._used) or self._over()

    def listing(self, path: str, params: Mapping[str, str | int], remedy: str) -> Children:
        """The children that stand there. ``remedy`` is for Reddit's refusals, a clause that says what to do.

        Raises RetryableError, with the seconds until the limit is lifted, and ConfigError.
        """
        if self._left is not None and self._left < 1 and not self._over():
            raise RetryableError(f"{WHO}'s limit is used up", self._anew - self._clock())
        self._sign_in()
        self._judged(lambda: self._reddit.request(method="GET", path=path, params=dict(params)), remedy)
        try:
            return _children_of(self._session.last.body)
        except (ValueError, OverflowError, RecursionError) as error:
            raise RetryableError(f"{WHO}'s answer is no listing: {str(error)[:200]}") from None

    def close(self) -> None:
        """Lets go of its sockets, from whichever thread."""
        self._session.close()

    def _over(self) -> bool:
        return self._clock() >= self._anew

    def _sign_in(self) -> None:
        if self._authorizer.is_valid() and self._clock() < self._renew:
            return
        at = self._clock()
        self._judged(
            self._authorizer.refresh,
            f"`client_id` and the secret do not fit: copy both anew from {APPS}, where the app must stand",
        )
        told = count_of(dict_of(read_json(self._session.last.body)).get("expires_in"))
        self._renew = at + max((told or 0) - _MARGIN_SECONDS, 1.0)

    def _judged(self, ask: Callable[[], object], remedy: str) -> None:
        """Asks, and raises what stands in the way as the runtime knows it; nothing secret is in its trace."""
        fault: GroundswellError | None = None
        try:
            ask()
        except prawcore.RequestException as error:
            met = error.original_exception
            fault = met if isinstance(met, GroundswellError) else RetryableError(f"{WHO} cannot be reached")
        except prawcore.OAuthException as error:
            fault = ConfigError(f"{WHO} does not let us in ({str(error.error)[:60]}): {remedy}")
        except Exception as error:
            # praw fails in many ways at an answer without news; its status says what it is.
            fault = self._refusal(remedy) or RetryableError(
                f"{WHO} answers in an unforeseen way ({type(error).__name__})"
            )
        self._count()
        if fault is not None:
            raise fault from None

    def _refusal(self, remedy: str) -> GroundswellError | None:
        last = self._session.last
        if last.status in (0, 200):
            return None
        target = urlsplit(last.headers.get("Location", "")).path
        if 300 <= last.status < 400 and target.rstrip("/").endswith("/subreddits/search"):
            return ConfigError(f"{WHO} knows no such subreddit and offers a search: {remedy}")
        headers = dict(last.headers)
        if last.status != 429:
            # Every answer tells when the limit begins anew; an outage has nothing to do with it.
            headers = {name: value for name, value in headers.items() if not name.lower().startswith("x-")}
        reason = _reason(last)
        named = f"{WHO} ({reason})" if reason else WHO
        return refused(last.status, headers, named, remedy, self._now())

    def _count(self) -> None:
        """What the last answer says of limits and of the time."""
        last = self._session.last
        if not last.status:
            return
        told = [_number(last.headers.get(f"x-ratelimit-{name}")) for name in ("remaining", "used", "reset")]
        left, used, reset = told
        if left is not None:
            self._left, self._used = left, used or 0.0
            self._anew = self._clock() + min(reset or 0.0, LONGEST_REST)
        elif self._left is not None and self._over():
            self._left = None
        if last.status == 200 and last.clock is not None:
            skew = (last.clock - self._now()).total_seconds()
            self.skew = skew if skew < _LARGEST_SKEW and abs(skew) > 2 else 0.0


def _client(credentials: Credentials, session: Session) -> praw.Reddit:
    with Config.LOCK:
        # Before praw finds it missing and reads what stands in the user's home and folder.
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string((files("praw") / "praw.ini").read_text(encoding="utf-8"))
        Config.CONFIG = parser
    return praw.Reddit(
        "DEFAULT",
        requestor_kwargs={"session": session},
        client_id=credentials.client_id,
        client_secret=credentials.client_secret.reveal(),
        user_agent=credentials.user_agent,
        reddit_url=credentials.login,
        oauth_url=credentials.api,
        username=None,
        password=None,
        refresh_token=None,
        redirect_uri=None,
        check_for_updates=False,
        check_for_async=False,
    )


def _children_of(body: bytes) -> Children:
    """Raises ValueError, OverflowError, RecursionError."""
    try:
        return msgspec.json.decode(body, type=_Listing).data
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        # One cut character must not cost the page.
        return msgspec.json.decode(msgspec.json.encode(read_json(body)), type=_Listing).data


def _reason(answered: Answered) -> str:
    """Reddit's own word for a refusal: private, banned, quarantined."""
    try:
        told = text_of(dict_of(read_json(answered.body)).get("reason"))
    except ValueError:
        return ""
    return told if told.replace("_", "").isalpha() and len(told) < 40 else ""


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < 1e6 else None
