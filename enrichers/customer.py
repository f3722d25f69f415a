"""The customer whom the author of a post is taken to be, with the evidence.

The decision is that of :mod:`pipeline.core.linking`; this step looks into the directory of customers,
which one process of the machine keeps and all others map. See docs/customers.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, structs

from pipeline.core.errors import RetryableError
from pipeline.core.event import Contact, CustomerLink
from pipeline.core.linking import AUTHOR, link
from pipeline.core.post import Post
from pipeline.identity.directory import FOLDER, DirectoryReader, Moment

REVISION = 1
"""Goes up with every change here or in :mod:`pipeline.core.linking` that may change a result."""

REMEMBERED = 50_000
"""Authors whose link is known without another look, for as long as the directory stays as it is."""


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[enrichers.customer]`` may say."""

    directory: Annotated[
        Path | None,
        Meta(description="The folder of the directory; empty: that of the installation, which is right."),
    ] = None


def at_home(settings: SETTINGS, home: Path) -> SETTINGS:
    """The settings within an installation: its directory, unless they name another."""
    return settings if settings.directory else structs.replace(settings, directory=home / FOLDER)


def build(settings: SETTINGS) -> CustomerEnricher:
    """The step. ConfigError where there is a directory that cannot be used; there need not be one yet."""
    reader = DirectoryReader(settings.directory) if settings.directory else None
    if reader is not None:
        reader.revision()
    return CustomerEnricher(reader)


class CustomerEnricher:
    """Assigns ``customer``. See :class:`pipeline.core.protocols.Enricher`."""

    requires: ClassVar[tuple[str, ...]] = ("post", "contacts")
    assigns: ClassVar[str] = "customer"

    def __init__(self, reader: DirectoryReader | None) -> None:
        self._reader = reader
        self._revision: int | None = None
        self._edition: object = None
        self._known: dict[tuple[str, str, str], CustomerLink | None] = {}

    @property
    def version(self) -> str:
        """Changes with every change of the directory: that which the last batch saw, else the present one."""
        if self._revision is None:
            self._revision = self._reader.revision() if self._reader else 0
        return f"{REVISION}.{self._revision}"

    def is_current(self, version: str) -> bool:
        """Whether a link of this version needs no other look: changes of customers have posts linked anew by
        themselves (docs/adr/0009), so what counts is how the step decides."""
        return version.partition(".")[0] == str(REVISION)

    def close(self) -> None:
        """Lets go of the directory."""
        if self._reader is not None:
            self._reader.close()

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[CustomerLink | None]:
        """The customer of each post, None where there is none; all as of one moment.

        Raises RetryableError where the directory is not whole yet, or was taken away under our eyes.
        """
        posts: Sequence[Post] = columns["post"]
        if self._reader is None:
            return [None] * len(posts)
        with self._reader.moment() as moment:
            self._revision = moment.revision
            if not moment.whole and moment.edition != self._edition:
                # Half a directory would link people to nobody, or one of two who share an address.
                raise RetryableError("the directory of customers is being built: try again when it is whole")
            if self._revision == 0:
                return [None] * len(posts)
            if moment.edition != self._edition:
                self._known.clear()
                self._edition = moment.edition
            return list(map(self._linked, posts, columns["contacts"], [moment] * len(posts)))

    def _linked(self, post: Post, contacts: Sequence[Contact], moment: Moment) -> CustomerLink | None:
        if post.direction == "outbound":
            return None
        author = post.author
        if contacts and any(contact.place != AUTHOR for contact in contacts):
            return link(post.source, author, contacts, moment)
        who = (post.source, author.id, author.handle)
        try:
            return self._known[who]
        except KeyError:
            found = link(post.source, author, (), moment)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[who] = found
        return found
