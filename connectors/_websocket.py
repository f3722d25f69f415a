"""A websocket, listened to in a thread of its own: its frames wait, bounded, until they are taken.

Knows nothing of what the frames say.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp

from connectors._listening import Heard
from connectors._refusal import refused
from pipeline.core.errors import GroundswellError, RetryableError

MAX_FRAMES = 5000
MAX_BYTES = 16 * 1024 * 1024
_FAREWELL_SECONDS = 0.05


class _Redirected(Exception):
    """The platform sends us elsewhere; ``args`` has the status."""


class Frames:
    """An open websocket. ``who`` names the platform in messages, ``remedy`` is for its refusals.

    ``timeout`` is in seconds: for the greeting, and for a sign of life later on. Frames of more than
    ``largest`` bytes end the connection.
    """

    def __init__(self, url: str, who: str, remedy: str, *, timeout: float, largest: int) -> None:
        self._url = url
        self._who = who
        self._remedy = remedy
        self._timeout = timeout
        self._largest = largest
        self._heard = Heard(MAX_FRAMES, MAX_BYTES, lambda: self._tell(self._room.set))
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="groundswell-websocket", daemon=True)

    def open(self) -> None:
        """Returns once the platform has greeted; raises its refusal."""
        self._thread.start()
        try:
            self._heard.wait_for_greeting(self._timeout + 5, self._who)
        except GroundswellError:
            self.close()
            raise

    def take(self, at_most: int, first: float, linger: float) -> list[bytes]:
        """The next frames, see :meth:`Heard.take`."""
        return self._heard.take(at_most, first, linger)

    def close(self) -> None:
        """Ends the connection; may be called twice."""
        self._closing = True
        if self._thread.ident is None:
            self._loop.close()
            return
        self._tell(self._cancel)
        self._thread.join(self._timeout + 5)

    def _tell(self, what: Callable[[], object]) -> None:
        # A loop that has ended by itself has nothing left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._guarded())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            # Transports say good-bye in turns of the loop that come after they were closed.
            self._loop.run_until_complete(asyncio.sleep(_FAREWELL_SECONDS))
        finally:
            self._loop.close()

    async def _guarded(self) -> None:
        self._task = asyncio.current_task()
        if self._closing:
            return
        try:
            await self._listen()
            error: GroundswellError = RetryableError(f"{self._who} closed the connection")
        except asyncio.CancelledError:
            error = RetryableError(f"{self._who} is not listened to any longer")
        except Exception as fault:
            error = self._judged(fault)
        self._heard.end(error)

    def _judged(self, fault: Exception) -> GroundswellError:
        """The error that a fault of the connection is to the runtime."""
        if isinstance(fault, _Redirected):
            return refused(int(fault.args[0]), {}, self._who, self._remedy, datetime.now(UTC))
        if isinstance(fault, aiohttp.WSServerHandshakeError):
            return refused(
                fault.status, dict(fault.headers or {}), self._who, self._remedy, datetime.now(UTC)
            )
        if isinstance(fault, TimeoutError):
            return RetryableError(f"{self._who} does not answer within {self._timeout:.0f} s")
        if isinstance(fault, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            return RetryableError(
                f"{self._who} shows a certificate that this machine does not trust: {fault}"
            )
        if isinstance(fault, aiohttp.ClientError | OSError):
            return RetryableError(f"{self._who} cannot be reached ({_in_words(fault)})")
        return RetryableError(f"the connection to {self._who} failed in an unforeseen way: {fault!r}")

    async def _listen(self) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(_refuse_redirect)
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            async with asyncio.timeout(self._timeout):
                socket = await session.ws_connect(
                    self._url,
                    heartbeat=self._timeout,
                    max_msg_size=self._largest,
                    ssl=ssl.create_default_context() if self._url.startswith("wss:") else True,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
            self._heard.open()
            try:
                await self._store_all(socket)
            finally:
                await socket.close()

    async def _store_all(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await socket.receive()
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                data = message.data
                await self._store(data.encode() if isinstance(data, str) else data)
            elif message.type is aiohttp.WSMsgType.ERROR:
                raise message.data if isinstance(message.data, Exception) else ConnectionResetError()
            else:
                return

    async def _store(self, frame: bytes) -> None:
        while not self._heard.offer(frame, self._room.clear):
            await self._room.wait()


async def _refuse_redirect(_: object, __: object, parameters: aiohttp.TraceRequestRedirectParams) -> None:
    # A platform that was taken over could have us ask a machine within our own walls.
    raise _Redirected(parameters.response.status)


def _in_words(fault: Exception) -> str:
    """Why there is no connection. aiohttp's own words show the object that holds the certificates."""
    if not isinstance(fault, aiohttp.ClientConnectorError):
        return str(fault) or type(fault).__name__
    cause = fault.os_error
    return (os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror) or str(cause)
