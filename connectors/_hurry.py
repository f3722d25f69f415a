"""An end to what comes before the body of an answer, for ``requests``, whose time-out is for each silence.

A platform that sends a byte of its headers a second, or answers "100 Continue" for ever, is never silent, and
would hold the one who asks for ever. Knows nothing of sessions.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_PATIENCE = 2.0
"""Times the time-out."""


class Hurried(HTTPAdapter):
    """As requests' own, but that status and headers must have come after twice the time-out."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Makes the connections hurried."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Those through a proxy too."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Hurry(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as urllib3 itself has it
        if not isinstance(self.timeout, int | float):
            return super().getresponse()
        cut = threading.Event()
        timer = threading.Timer(self.timeout * _PATIENCE, _cut, (self.sock, cut))
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()
        except Exception:
            if not cut.is_set():
                raise
        finally:
            timer.cancel()
        if cut.is_set():
            # Headers that were cut off pass for whole ones.
            raise TimeoutError("the headers timed out")
        return response


def _cut(connection: socket.socket | None, cut: threading.Event) -> None:
    cut.set()
    if connection is not None:
        # Closing it would leave the one who reads from it waiting.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class _HurrySafely(_Hurry, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Hurry


class _SafePool(HTTPSConnectionPool):
    ConnectionCls = _HurrySafely


_POOLS = {"http": _Pool, "https": _SafePool}
