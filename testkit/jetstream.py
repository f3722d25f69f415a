"""What a test has the network of Bluesky tell, event by event, where the fixture's own items are too even."""

from __future__ import annotations

import time
from typing import Any

from testkit.connectors.bluesky import POST, did, tid
from testkit.platform.answers import Item
from testkit.platform.staged import ServedStage

_SECOND = 1_000_000
_BEHIND = 600.0
_BETWEEN = 0.1


def key(seconds_ago: float, number: int = 0) -> str:
    """The key of a post that was made so long ago."""
    return tid(int((time.time() - seconds_ago) * _SECOND) + number)


def post_id(author: int, rkey: str) -> str:
    """The id of the post of this author with this key."""
    return f"bluesky:at://{did(author)}/{POST}/{rkey}"


class Network:
    """Authors by their numbers; what they do is told ten minutes ago, a tenth of a second between."""

    def __init__(self, stage: ServedStage) -> None:
        self._stage = stage
        self._moment = time.time() - _BEHIND

    def post(self, author: int, rkey: str, text: str = "my parcel", operation: str = "create") -> None:
        """A post, or with ``update`` its edit."""
        self._commit(author, rkey, {"operation": operation, "record": {"text": text}})

    def delete(self, author: int, rkey: str) -> None:
        """The end of a post."""
        self._commit(author, rkey, {"operation": "delete"})

    def account(self, author: int, status: Any) -> None:
        """An account is no longer active."""
        self.tell(author, {"kind": "account", "account": {"active": False, "status": status}})

    def rest(self, seconds: float) -> None:
        """Nothing happens for so long."""
        self._moment += seconds

    def tell(self, author: int, event: dict[str, Any]) -> None:
        """An event of any kind."""
        self._moment += _BETWEEN
        told = {"did": did(author), "time_us": int(self._moment * _SECOND), **event}
        self._stage.timeline.items.append(Item(data=told, at=self._moment))

    def _commit(self, author: int, rkey: str, commit: dict[str, Any]) -> None:
        rev = tid(int(self._moment * _SECOND))
        self.tell(
            author, {"kind": "commit", "commit": {"rev": rev, "collection": POST, "rkey": rkey, **commit}}
        )
