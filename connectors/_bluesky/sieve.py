"""Which of a network's posts are wanted, and which deletions and edits concern a post that was taken in.

Reads and writes the memory that it is handed, and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from connectors._bluesky.jetstream import Event, languages_of, micros_of
from connectors._bluesky.taken import Taken
from connectors._words import says_any
from pipeline.core.post import Post
from pipeline.core.wording import Phrase

Told = tuple[Event, Post]

CLOCK_SECONDS = 86400.0
"""So much later than it was may a post's key say that it was made: the author's own clock writes it."""

UNCLAIMED = 2000
"""Changes by authors of whom nothing is known yet, which are kept for what may come out of order."""

_SECOND = 1_000_000


class Sieve:
    """Lets through posts with one of the phrases in one of the languages; none of either means any.

    ``authors`` are those whom the host was asked for, none where it tells of all.
    """

    def __init__(self, phrases: Sequence[Phrase], languages: Sequence[str], authors: Sequence[str]) -> None:
        self._phrases = phrases
        self._languages = frozenset(languages)
        self._authors = frozenset(authors)
        self._unclaimed: deque[Told] = deque(maxlen=UNCLAIMED)

    @property
    def narrows(self) -> bool:
        """Whether it keeps anything back."""
        return bool(self._phrases or self._languages or self._authors)

    def sift(self, told: Sequence[Told], taken: Taken | None, now: float) -> list[Post]:
        """What of it goes on, in order; all live posts of it are in the memory when it returns.

        Without a memory every deletion and every edit goes on. ``now`` is in seconds since 1970.
        """
        if not self.narrows:
            return [post for _, post in told]
        wants = [self._wants(event, post) for event, post in told]
        authors = {event.did for (event, _), wanted in zip(told, wants, strict=True) if wanted}
        passed = self._claimed(authors)
        for one, wanted in zip(told, wants, strict=True):
            if wanted or self._concerns(one, authors, taken):
                passed.append(one)
        if taken is not None:
            live = [event for event, post in passed if not post.deleted]
            taken.note([(event.did, event.commit.rkey) for event in live if event.commit], now)
        return [post for _, post in passed]

    def _wants(self, event: Event, post: Post) -> bool:
        """By what it says."""
        if post.deleted or event.commit is None:
            return False
        if self._languages:
            told = {lang.partition("-")[0].lower() for lang in languages_of(event.commit.record)}
            if told and not told & self._languages:
                return False
        return says_any(self._phrases, post.text, *post.hashtags)

    def _concerns(self, one: Told, wanted: set[str], taken: Taken | None) -> bool:
        """Whether it changes a post, and one that may have been taken in."""
        event, post = one
        if event.commit is None or not (post.deleted or event.commit.operation == "update"):
            return False
        if taken is None or event.did in self._authors or event.did in wanted or taken.knows(event.did):
            return True
        made = micros_of(event.commit.rkey)
        until = taken.unknown_until
        if until and (made is None or made < (until + CLOCK_SECONDS) * _SECOND):
            return True
        self._unclaimed.append(one)
        return False

    def _claimed(self, authors: set[str]) -> list[Told]:
        """What these authors changed shortly before anything of theirs was wanted."""
        found = [one for one in self._unclaimed if one[0].did in authors] if authors else []
        if found:
            rest = [one for one in self._unclaimed if one[0].did not in authors]
            self._unclaimed.clear()
            self._unclaimed.extend(rest)
        return found
