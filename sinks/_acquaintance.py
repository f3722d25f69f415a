"""Whether the Elasticsearch that answers is the one that has our posts: an address may become another's."""

from __future__ import annotations

from collections.abc import Callable

from elasticsearch import ApiError, Elasticsearch

from pipeline.core.errors import RetryableError
from sinks._client import answering, request


class Acquaintance:
    """What one process knows of its server. ``confirmed`` tells whether any event was ever said to be in the
    index, by whatever process; it is asked only where there is no index."""

    def __init__(self, client: Elasticsearch, prefix: str, confirmed: Callable[[], bool]) -> None:
        self._client, self._prefix, self._confirmed = client, prefix, confirmed
        self._cluster: str | None = None

    def renew(self, *, has_index: bool) -> None:
        """To be called when the index of posts is seen for the first time, or another than before, or none.

        Raises RetryableError where writing on would leave a hole that nobody sees.
        """
        found = self._asked()
        if self._cluster is None:
            if not has_index and self._confirmed():
                raise RetryableError(
                    f"Elasticsearch has no index of {self._prefix}-, though it confirmed posts before: it is"
                    " another server, or its data are lost; `groundswell rebuild` makes it from the log"
                )
            self._cluster = found
        elif found is not None and found != self._cluster:
            raise RetryableError(
                "another Elasticsearch answers than before: what it lacks would be missing in the index; if"
                " it is the one to use, run `groundswell rebuild` and restart the role index"
            )

    def _asked(self) -> str | None:
        """The id of the cluster; None where it does not say."""
        with answering(self._client):
            try:
                answer = request(self._client, "GET", "/_cluster/state/version?filter_path=cluster_uuid")
            except ApiError as error:
                if error.status_code != 403:
                    raise
                return None
        found = answer.get("cluster_uuid")
        return found if found != "_na_" else None
