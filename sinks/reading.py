"""A document of the posts index as the event that it was made of: the inverse of `_document`.

Pure. Whoever shows, explains or sends once more what the index holds reads it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.core.errors import RejectedError
from pipeline.core.event import Event


def event_of(source: Mapping[str, Any], index: str = "") -> Event:
    """The event whose document this is, whole; ``source`` as Elasticsearch gives it, ``index`` where it lies.

    A stub gives the event of a deletion, which holds nothing that anybody wrote. Raises RejectedError with
    the fault and its path for what no Groundswell has written.
    """
    # A stub has no text, which is what a post of its form needs.
    fields = {**source, "post": {"text": "", **source}, "index": index}
    try:
        return msgspec.convert(fields, Event)
    except msgspec.ValidationError as error:
        raise RejectedError(f"the index holds no valid post here: {error}", "invalid") from None
