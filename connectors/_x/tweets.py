"""Posts of X as its interface, version 2, tells them. Pure.

A *telling* is one post with what was asked for beside it: ``{"data": …, "includes": …}``, as the stream
sends it; a page of a search is taken apart into such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from connectors._loose import count_of, dict_of, list_of, read_json, rows_of, text_of, time_of, unique
from pipeline.core.errors import RejectedError
from pipeline.core.post import Author, Post

ASKED = {
    "expansions": [
        "author_id",
        "referenced_tweets.id",
        "referenced_tweets.id.author_id",
        "attachments.media_keys",
    ],
    "tweet_fields": [
        "attachments",
        "author_id",
        "conversation_id",
        "created_at",
        "edit_history_tweet_ids",
        "entities",
        "in_reply_to_user_id",
        "lang",
        "note_tweet",
        "public_metrics",
        "referenced_tweets",
    ],
    "user_fields": [
        "description",
        "location",
        "name",
        "public_metrics",
        "username",
        "verified",
    ],
    "media_fields": ["media_key", "preview_image_url", "type", "url", "variants"],
}
"""What is asked for with every post, under tweepy's names."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# An id since November 2010 begins with the milliseconds since this one.
_ID_EPOCH_MS = 1_288_834_974_657
_FIRST_TIMED = 29_700_859_247
_LARGEST_ID = 2**63 - 1
# A page of the search has a hundred posts at most.
_MOST_ROWS = 200
# Many times the longest post with all that it refers to.
_LARGEST_TELLING = 1024 * 1024
_ESCAPED = re.compile(r"&(amp|lt|gt);")
_SIGNS = {"amp": "&", "lt": "<", "gt": ">"}
# No languages: undetermined, and what X says for links, pictures and tags alone.
_NO_LANGUAGE = re.compile(r"und|zxx|art|q[a-z]{2}")
_OLD_CODES = {"in": "id", "iw": "he", "ji": "yi"}
_METRICS = {
    "like_count": "likes",
    "retweet_count": "reposts",
    "quote_count": "quotes",
    "reply_count": "replies",
    "bookmark_count": "bookmarks",
    "impression_count": "views",
}


class Page(Struct, frozen=True):
    """An answer of the search: its tellings, the newest id among them, the token of the next page, and the
    oldest id, 0 where there is none."""

    tellings: Sequence[bytes]
    newest: int
    next_token: str
    oldest: int = 0


def id_at(moment: datetime) -> int:
    """The least id that a post of this moment can have."""
    return max((_millis(moment) - _ID_EPOCH_MS) << 22, 0)


def moment_of(post_id: int) -> datetime | None:
    """When a post was made, by its id; None for ids of before 2010, which do not say."""
    if not _FIRST_TIMED < post_id <= _LARGEST_ID:
        return None
    return _EPOCH + timedelta(milliseconds=(post_id >> 22) + _ID_EPOCH_MS)


def problems_of(raw: bytes) -> list[dict[str, Any]] | None:
    """The problems of a line that tells of no post (the stream is about to end); None for other lines."""
    try:
        line = dict_of(read_json(raw))
    except ValueError:
        return None
    problems = rows_of(line.get("errors"))
    return problems if problems and "data" not in line else None


def is_of(raw: bytes, prefix: str) -> bool:
    """Whether a line of the stream comes of a rule whose tag begins so; also where it does not say."""
    try:
        rules = rows_of(dict_of(read_json(raw)).get("matching_rules"))
    except ValueError:
        return True
    return not rules or any(text_of(rule.get("tag")).startswith(prefix) for rule in rules)


def page_of(body: bytes) -> Page:
    """A page of the search, taken apart. ValueError where the body is none, or holds more than pages do."""
    answer = dict_of(read_json(body))
    meta = dict_of(answer.get("meta"))
    if not meta:
        raise ValueError("it has no `meta`")
    data = list_of(answer.get("data"))
    if len(data) > _MOST_ROWS:
        raise ValueError(f"it has {len(data)} posts")
    beside = _Beside(dict_of(answer.get("includes")))
    numbers = [_number(dict_of(one).get("id")) for one in data]
    return Page(
        [_telling(one, beside) for one in data],
        max([*numbers, _number(meta.get("newest_id"))]),
        text_of(meta.get("next_token")),
        min(filter(None, numbers), default=0),
    )


class _Beside:
    """What stands beside the posts of a page, by ids; the first of an id counts."""

    def __init__(self, includes: dict[str, Any]) -> None:
        self._users = _by("id", rows_of(includes.get("users")))
        self._tweets = _by("id", rows_of(includes.get("tweets")))
        self._media = _by("media_key", rows_of(includes.get("media")))

    def of(self, data: dict[str, Any]) -> dict[str, Any]:
        """What of it belongs to one post."""
        tweets = _named([one.get("id") for one in _references(data)], self._tweets)
        authors = [data.get("author_id"), *(one.get("author_id") for one in tweets)]
        keys = [list_of(dict_of(one.get("attachments")).get("media_keys")) for one in (data, *tweets)]
        media = [key for some in keys for key in some]
        return {
            "users": _named(authors, self._users),
            "tweets": tweets,
            "media": _named(media, self._media),
        }


def _telling(one: Any, beside: _Beside) -> bytes:
    telling = msgspec.json.encode({"data": one, "includes": beside.of(dict_of(one))})
    # One giant beside all posts of a page would be told with each of them.
    return telling if len(telling) <= _LARGEST_TELLING else msgspec.json.encode({"data": one})


def _by(key: str, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows by the text that each has there."""
    return {name: row for row in reversed(rows) if isinstance(name := row.get(key), str)}


def _named(names: Sequence[Any], rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of these names, each once."""
    return [rows[name] for name in unique(map(text_of, names)) if name in rows]


def post_of(raw: bytes, now: datetime) -> Post | None:
    """The post of a telling; None for a line that tells of none. Raises RejectedError.

    What is wrong with the trimmings (links, pictures, language, numbers) costs the trimmings, not the post.
    """
    try:
        line = read_json(raw)
    except ValueError as error:
        raise RejectedError(f"no post of X: {error}", "unreadable") from None
    if isinstance(line, dict) and "data" not in line:
        return None
    try:
        return _post(dict_of(dict_of(line).get("data")), dict_of(dict_of(line).get("includes")), now)
    except ValueError as error:
        raise RejectedError(f"no post of X: {error}", "invalid") from None


def _post(data: dict[str, Any], includes: dict[str, Any], now: datetime) -> Post:
    version = _needed(data, "id")
    author = _author(_needed(data, "author_id"), rows_of(includes.get("users")))
    history = [number for number in map(_number, list_of(data.get("edit_history_tweet_ids"))) if number]
    first = min([*history, version])
    told = time_of(data.get("created_at")) or moment_of(version)
    originals = {kind: _referred(data, includes, kind) for kind in ("retweeted", "replied_to", "quoted")}
    shared = originals["retweeted"]
    answered = _id_of(originals["replied_to"])
    talk = _number(data.get("conversation_id"))
    return Post(
        id=f"x:{first}",
        kind="reply" if answered or data.get("in_reply_to_user_id") else "post",
        text=_retold(data, shared),
        lang=_language(data.get("lang")),
        created_at=told if first == version else moment_of(first) or told,
        collected_at=now,
        edited_at=(moment_of(version) or told) if first != version else None,
        url=f"https://x.com/{author.handle or 'i'}/status/{version}",
        author=author,
        in_reply_to=answered,
        # A repost counts into the conversation of what it repeats, so that a flood of them is one matter.
        thread=_thread(shared) if shared else f"x:{first if talk in history else talk or first}",
        mentions=_entities((data,), "mentions", "username"),
        hashtags=_entities((data, shared), "hashtags", "tag"),
        urls=_links((data, shared), _id_of(originals["quoted"])),
        media=_media((data, shared), rows_of(includes.get("media"))),
        # Those of a repost are those of what it repeats, and would count again with every repost.
        metrics={} if shared else _metrics(data),
    )


def _needed(data: dict[str, Any], name: str) -> int:
    number = _number(data.get(name))
    if not number:
        raise ValueError(f"data.{name} is missing or no id")
    return number


def _author(number: int, users: Sequence[dict[str, Any]]) -> Author:
    told = next((user for user in users if _number(user.get("id")) == number), {})
    handle = text_of(told.get("username"))
    verified = told.get("verified")
    return Author(
        id=f"x:{number}",
        handle=handle,
        name=_plain(told.get("name")),
        bio=_plain(told.get("description")),
        location=_plain(told.get("location")),
        url=f"https://x.com/{handle}" if handle else f"https://x.com/i/user/{number}",
        followers=count_of(dict_of(told.get("public_metrics")).get("followers_count")),
        verified=verified if isinstance(verified, bool) else None,
    )


def _retold(data: dict[str, Any], shared: dict[str, Any]) -> str:
    """The whole text; of a repost, whose own is cut, that of what it repeats behind its ``RT @handle:``."""
    if not isinstance(data.get("text"), str):
        raise ValueError("data.text is missing or no text")
    text = _whole_text(data)
    head = re.match(r"RT @\w{1,50}: ", text)
    whole = _whole_text(shared)
    return head[0] + whole if head and whole else text


def _whole_text(data: dict[str, Any]) -> str:
    return _plain(dict_of(data.get("note_tweet")).get("text")) or _plain(data.get("text"))


def _plain(value: Any) -> str:
    """As it was written: X sends three signs as HTML does."""
    return _ESCAPED.sub(lambda found: _SIGNS[found[1]], text_of(value))


def _language(value: Any) -> str:
    code = text_of(value)
    return "" if _NO_LANGUAGE.fullmatch(code) else _OLD_CODES.get(code, code)


def _references(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from rows_of(data.get("referenced_tweets"))


def _referred(data: dict[str, Any], includes: dict[str, Any], kind: str) -> dict[str, Any]:
    """The post that this one repeats, answers or quotes, as far as it is told; empty where it is none."""
    for one in _references(data):
        if one.get("type") == kind and _number(one.get("id")):
            told = (tweet for tweet in rows_of(includes.get("tweets")) if tweet.get("id") == one["id"])
            return next(told, {"id": one["id"]})
    return {}


def _id_of(data: dict[str, Any]) -> str:
    """The id of the first version of a post; empty for none."""
    numbers = [*map(_number, list_of(data.get("edit_history_tweet_ids"))), _number(data.get("id"))]
    return f"x:{min(filter(None, numbers))}" if data else ""


def _thread(data: dict[str, Any]) -> str:
    talk = _number(data.get("conversation_id"))
    return f"x:{talk}" if talk and talk != _number(data.get("id")) else _id_of(data)


def _marks(data: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Entities of one sort, also of the part of a long text that its short form lacks."""
    for place in (data, dict_of(data.get("note_tweet"))):
        yield from rows_of(dict_of(place.get("entities")).get(name))


def _entities(places: Sequence[dict[str, Any]], name: str, key: str) -> tuple[str, ...]:
    return unique([text_of(mark.get(key)) for place in places for mark in _marks(place, name)])


def _links(places: Sequence[dict[str, Any]], quoted: str) -> tuple[str, ...]:
    """Where the links lead; those to the post's own pictures are left out."""
    marks = [mark for place in places for mark in _marks(place, "urls") if not mark.get("media_key")]
    links = [text_of(mark.get("unwound_url")) or text_of(mark.get("expanded_url")) for mark in marks]
    page = f"https://x.com/i/status/{quoted[2:]}"
    if quoted and not any(link.endswith(f"/status/{quoted[2:]}") for link in links):
        links.append(page)
    return unique(links)


def _media(places: Sequence[dict[str, Any]], media: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    keys = [key for place in places for key in list_of(dict_of(place.get("attachments")).get("media_keys"))]
    return unique([_address(one) for one in _named(keys, _by("media_key", media))])


def _address(one: dict[str, Any]) -> str:
    """Of a picture, of a film in its best form, or of the picture that stands for the film."""
    films = [film for film in rows_of(one.get("variants")) if film.get("content_type") == "video/mp4"]
    best = max(films, key=lambda film: count_of(film.get("bit_rate")) or 0, default={})
    return text_of(one.get("url")) or text_of(best.get("url")) or text_of(one.get("preview_image_url"))


def _metrics(data: dict[str, Any]) -> dict[str, int]:
    told = {ours: count_of(dict_of(data.get("public_metrics")).get(name)) for name, ours in _METRICS.items()}
    return {name: count for name, count in told.items() if count is not None}


def _number(value: Any) -> int:
    """An id as a number; 0 for what is none. X writes ids as texts, for JavaScript's sake."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        number = int(value)
        return number if number <= _LARGEST_ID else 0
    return 0


def _millis(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
