"""HTTP for client libraries that are given a ``requests.Session``: it bounds what they leave open.

It follows no redirect, takes in no body without end (packed ones are measured unpacked), waits for nothing
without end, keeps no cookies, asks another address where the settings name one, and puts a token only onto
the wire, so that the library that logs its headers never has it. Knows no platform.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
import urllib3
from msgspec import Struct
from msgspec.structs import replace
from requests.auth import AuthBase

from connectors._hurry import Hurried
from connectors._refusal import moment_of
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.settings import MASK, Secret

LARGEST_BODY = 16 * 1024 * 1024
LARGEST_LINE = 1024 * 1024
_PIECE = 64 * 1024


class Answered(Struct, frozen=True):
    """An answer: the status, the headers, and the body unless it is a stream."""

    status: int = 0
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def clock(self) -> datetime | None:
        """The platform's own time when it answered; None where it does not say, or what no clock shows."""
        moment = moment_of(self.headers.get("Date", ""))
        # At the ends of the calendar nobody can reckon any further.
        return moment if moment is not None and 2000 <= moment.year < 3000 else None


class Bearer(AuthBase):
    """A token that is written into a request when it goes out, over whatever the library has put there.

    ConfigError where it holds what no header may hold; the libraries' own messages would show it.
    """

    def __init__(self, token: Secret, name: str) -> None:
        if not all("!" <= letter <= "~" for letter in token.reveal()):
            raise ConfigError(f"{name} has spaces or other signs that no token has: copy it anew, whole")
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request

    def __repr__(self) -> str:
        return f"Bearer({MASK})"


class Session(requests.Session):
    """One conversation. ``who`` is the platform in words.

    ``timeout`` is in seconds: for the connection, for each silence, and twice that for all that comes before
    a body, and for the body.
    ``elsewhere`` gives for the start of an address the one to ask in its place. ``last`` is what was
    answered last. Its ``request`` raises RetryableError for all that befalls the line and for a body of
    more than ``largest`` bytes; what the platform refuses it returns.
    """

    def __init__(
        self,
        who: str,
        *,
        timeout: float,
        largest: int = LARGEST_BODY,
        elsewhere: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
    ) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, Hurried())
        self._who = who
        self._timeout = timeout
        self._largest = largest
        self._elsewhere = dict(elsewhere or {})
        self._open: requests.Response | None = None
        self.last = Answered()
        # Without one of its own, requests would overwrite the library's with what stands in a .netrc.
        self.auth = auth or _as_it_is
        self.headers["Accept-Encoding"] = "gzip"
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """As the library asks, within the bounds."""
        kept = bool(kwargs.get("stream"))  # asked for as a stream, which is left to the library
        kwargs |= {"timeout": self._timeout, "stream": True, "allow_redirects": False}
        self.last, self._open = Answered(), None
        try:
            response = super().request(method, self._placed(url), *args, **kwargs)
            self.last = Answered(response.status_code, response.headers)
            if kept and 200 <= response.status_code < 300:
                self._open = response
                response.iter_content = self._bounded(response)  # type: ignore[method-assign]
                return response
            self._take_in(response)
            self.last = replace(self.last, body=response.content)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as fault:
            self._fail(fault)
        return response

    def get_redirect_target(self, _: requests.Response) -> None:
        """Nowhere: a platform that was taken over could have us ask a machine within our own walls."""
        return

    def hang_up(self) -> None:
        """Ends the stream that is open, from whichever thread: who waits for its next line finds its end."""
        response = self._open
        if response is not None:
            try:
                response.raw.shutdown()
            except (ValueError, RuntimeError, OSError):
                return  # it has ended by itself

    def _placed(self, url: str | bytes) -> str:
        text = url.decode() if isinstance(url, bytes) else url
        for start, other in self._elsewhere.items():
            if text.startswith((f"{start}/", f"{start}?")) or text == start:
                return other.rstrip("/") + text[len(start) :]
        return text

    def _take_in(self, response: requests.Response) -> None:
        deadline = time.monotonic() + 2 * self._timeout
        body = bytearray()
        try:
            told = response.headers.get("Content-Length", "")
            if told.isdecimal() and int(told) > self._largest:
                raise self._too_long(self._largest)
            while piece := response.raw.read1(_PIECE, decode_content=True):
                body += piece
                if len(body) > self._largest:
                    raise self._too_long(self._largest)
                if time.monotonic() > deadline:
                    raise RetryableError(f"{self._who} does not come to an end with its answer")
        except BaseException:
            response.close()
            raise
        response._content = bytes(body)
        response._content_consumed = True  # type: ignore[attr-defined]

    def _bounded(self, response: requests.Response) -> Callable[..., Iterator[Any]]:
        """Its pieces, as long as its lines come to an end."""
        pieces = response.iter_content

        def bounded(chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
            begun = 0
            for piece in pieces(chunk_size, decode_unicode):
                at = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
                begun = len(piece) - at - 1 if at >= 0 else begun + len(piece)
                if begun > LARGEST_LINE:
                    raise self._too_long(LARGEST_LINE)
                yield piece

        return bounded

    def _too_long(self, most: int) -> RetryableError:
        return RetryableError(f"{self._who} answers with more than {most} bytes, which are not taken in")

    def _fail(self, fault: Exception) -> NoReturn:
        raise RetryableError(told_of(fault, self._who, self._timeout)) from None


def told_of(fault: Exception, who: str, timeout: float) -> str:
    """A fault of the line in one sentence; nothing of the request stands in it."""
    if isinstance(fault, requests.Timeout | urllib3.exceptions.TimeoutError) or "timed out" in str(fault):
        return f"{who} does not answer within {timeout:.0f} s"
    root = _root_of(fault)
    if isinstance(fault, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        return f"{who} shows a certificate that this machine does not trust: {root}"
    if isinstance(fault, requests.exceptions.ContentDecodingError | urllib3.exceptions.DecodeError):
        return f"{who} answers with what cannot be unpacked"
    # Others than those of the operating system may quote headers.
    return f"{who} cannot be reached ({(isinstance(root, OSError) and root.strerror) or type(root).__name__})"


def _root_of(fault: BaseException) -> BaseException:
    while (cause := fault.__cause__ or fault.__context__) is not None:
        fault = cause
    return fault


def check_address(address: str, key: str) -> None:
    """ValueError where a token sent to this address could be read on its way."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not _is_this_machine(parts.hostname or ""):
        raise ValueError(
            f"{key} is `{address}`, and the token would travel readable for all: begin it with https://"
        )


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
