"""Handles in their normal form: what `@Ann_B`, `u/ann_b` and `https://x.com/ann_b?lang=de` have in common.

Pure. Knows how the addresses of profiles look on each platform; that a handle exists it cannot know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

from msgspec import Struct

MAX_LENGTH = 200

_SAME = {"twitter": "x", "bsky": "bluesky"}
"""Names that files of customers give to sources that posts call otherwise."""

_SUBDOMAINS = ("www.", "m.", "mobile.", "old.", "new.", "np.", "i.", "web.")
_INVISIBLE = (
    "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_SCHEME = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_DOMAIN = r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+"
_ADDRESS = re.compile(rf"[\w.+-]+@{_DOMAIN}")
_PLAIN = re.compile(r"[^\s/@:?#&=<>\"'()\[\]{}\\,;]+")
_NO_PEOPLE = {
    "x": "home search explore hashtag i intent share settings messages notifications login signup tos"
    " privacy",
    "facebook": "profile.php groups pages people watch events marketplace sharer share.php story.php"
    " permalink.php photo.php login help",
    "instagram": "p reel reels tv explore stories accounts direct about",
}


class _Platform(Struct, frozen=True):
    """``path`` gives the handle from the parts of a profile's address, empty where that is none."""

    hosts: tuple[str, ...]
    form: re.Pattern[str]
    path: Callable[[str, list[str]], str]


def canonical_source(source: str) -> str:
    """The name by which posts call a source: `twitter` is `x`."""
    return _SAME.get(source, source)


def other_names(source: str) -> tuple[str, ...]:
    """The other names of a source that is called by its canonical one."""
    return tuple(other for other, name in _SAME.items() if name == source)


def normal_handle(source: str, written: str) -> str:
    """A handle as posts of ``source`` give it, without case, sign and address: `@Ann_B`,
    `https://x.com/ann_b?lang=de` and `u/ann_b` are `ann_b`.

    On Mastodon the instance belongs to it, `ann@inst.example`. Empty where none can be read: nothing
    written, no handle of that platform, the address of another one.
    """
    source = _SAME.get(source, source)
    platform = _PLATFORMS.get(source)
    if written.isascii() and len(written) <= 20 and written.replace("_", "a").isalnum():
        # What nearly all posts say already. Bluesky and Mastodon have no handles of one word.
        return "" if platform in (_BLUESKY, _MASTODON) else written.lower()
    text = unicodedata.normalize("NFC", written[: 10 * MAX_LENGTH]).strip().strip(_INVISIBLE).strip()
    text = unicodedata.normalize("NFC", text.casefold())
    for sign in ("/user/", "user/", "/u/", "u/"):
        if text.startswith(sign):
            text = text.removeprefix(sign)
            break
    if "/" in text:
        text = unicodedata.normalize("NFC", _of_address(platform, text).casefold()) if platform else ""
    text = text.lstrip("@＠")
    form = platform.form if platform else _PLAIN
    if len(text) > MAX_LENGTH or not form.fullmatch(text) or not text.isprintable():
        return ""
    return "" if text == "handle.invalid" else text


def _of_address(platform: _Platform, text: str) -> str:
    """The handle of a profile's address on the platform."""
    bare = _SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text
    host, _, rest = bare.partition("/")
    host = host.partition(":")[0].rstrip(".")
    for prefix in _SUBDOMAINS:
        if host.removeprefix(prefix) in platform.hosts:
            host = host.removeprefix(prefix)
    if platform.hosts and host not in platform.hosts:
        return ""
    path = re.split(r"[?#]", rest, maxsplit=1)[0]
    parts = [unquote(part) for part in path.split("/") if part]
    return platform.path(host, parts) if parts else ""


def _first(source: str) -> Callable[[str, list[str]], str]:
    """Profiles stand at the root, among pages that are nobody's."""
    nobody = frozenset(_NO_PEOPLE[source].split())
    return lambda _, parts: "" if parts[0] in nobody else parts[0]


def _after(*words: str) -> Callable[[str, list[str]], str]:
    return lambda _, parts: parts[1] if len(parts) > 1 and parts[0] in words else ""


def _signed(_: str, parts: list[str]) -> str:
    return parts[0] if parts[0].startswith("@") else ""


def _of_instance(host: str, parts: list[str]) -> str:
    """`inst/@ann` and `inst/users/ann` are `ann@inst`, `inst/@ann@other` is `ann@other`."""
    name = parts[0][1:] if parts[0].startswith("@") else ""
    if parts[0] == "users" and len(parts) > 1:
        name = parts[1]
    return name if not name or "@" in name else f"{name}@{host}"


_BLUESKY = _Platform(("bsky.app",), re.compile(_DOMAIN), _after("profile"))
_MASTODON = _Platform((), _ADDRESS, _of_instance)
_PLATFORMS = {
    "x": _Platform(("x.com", "twitter.com"), re.compile(r"[a-z0-9_]{1,20}"), _first("x")),
    "reddit": _Platform(("reddit.com",), re.compile(r"[a-z0-9_-]{1,32}"), _after("user", "u")),
    "bluesky": _BLUESKY,
    "mastodon": _MASTODON,
    "facebook": _Platform(("facebook.com", "fb.com"), _PLAIN, _first("facebook")),
    "instagram": _Platform(("instagram.com",), re.compile(r"[a-z0-9_.]{1,60}"), _first("instagram")),
    "youtube": _Platform(("youtube.com",), _PLAIN, _signed),
    "tiktok": _Platform(("tiktok.com",), re.compile(r"[a-z0-9_.]{1,60}"), _signed),
}
