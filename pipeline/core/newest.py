"""Which states of posts may still be published: never an older one after a newer.

The log of events is compacted: of each post it keeps the record that came last, whatever its version. An
old text that arrives after its edit, or after its deletion, must therefore not follow it there, or the
log would end with what somebody took back. Only posts that were ever changed need to be remembered, for
an unchanged post has nothing older. Pure: where the memory is kept is the shell's affair.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.version import change_of, pack, unpack


def lifted(version: int, published: int) -> int:
    """The version under which a state goes out where ``published`` is out already.

    A re-link publishes the same edit under a higher operation. What comes later of that edit, a refresh of
    its metrics say, is no older for having been sent without one: it takes the operation that is out. An
    edit later or earlier than the published one keeps its own.
    """
    edit, operation, observation = unpack(version)
    known_edit, known_operation, _ = unpack(published)
    if edit != known_edit or operation >= known_operation:
        return version
    return pack(edit, known_operation, observation)


class Newest:
    """The newest published version of every changed post of one partition."""

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self._versions = dict(known or {})

    def admits(self, post_id: str, version: int) -> bool:
        """Whether this state may be published: False when a newer change of the post already was."""
        return version >= self._versions.get(post_id, 0)

    def lift(self, post_id: str, version: int) -> int:
        """The version under which this state would be published now: see :func:`lifted`."""
        published = self._versions.get(post_id)
        # Most posts were never changed, and each one is asked for twice.
        return version if published is None else lifted(version, published)

    def note(self, post_id: str, version: int) -> bool:
        """Remembers a published state; True when it is a change that must be kept beyond this process.

        A repeat must, too: it may come because somebody was late and wrote an older one behind it.
        """
        if not change_of(version):
            return False
        self._versions[post_id] = version
        return True

    def __len__(self) -> int:
        return len(self._versions)
