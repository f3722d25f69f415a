"""The platform's server: HTTP or HTTPS, pages, streams and websockets, in a thread of its own on loopback.

It bends its answers by the faults that it is told, and keeps a log of what it was asked and what it
served, against which loss is measured.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

from aiohttp import web
from msgspec.structs import replace

from testkit.platform.answers import Answer, Asked, refusal
from testkit.platform.certificate import Certificate
from testkit.platform.faults import Dialect, Fault, posts_among
from testkit.platform.sending import Wire, send

_LONGEST_BODY = 1024 * 1024


class PlatformServer:
    """Runs while it is entered. ``answer`` is asked in the server's thread, once a request.

    ``asked`` and ``served`` (ids, in the order in which they were written whole) only grow; ``filled`` is
    the bytes of filler that somebody took; ``trespasses`` counts requests to ``elsewhere``, an address
    that no connector has any business at.
    """

    def __init__(
        self,
        answer: Callable[[Asked], Answer],
        dialect: Dialect | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self._answer = answer
        self._dialect = dialect or Dialect()
        self._certificate = certificate
        self._spells: list[Fault] = []
        self._generation = 0
        self._ending = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="platform", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._ports: list[int] = []
        self.asked: list[Asked] = []
        self.served: list[str] = []
        self.spoilt: list[str] = []
        self.filled = 0
        self.trespasses = 0

    def __enter__(self) -> PlatformServer:
        self._thread.start()
        assert self._ready.wait(10), "the platform's server does not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the platform's server does not end"

    @property
    def host(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"{'https' if self._certificate else 'http'}://{self.host}"

    @property
    def socket_url(self) -> str:
        """The address for websockets."""
        return f"{'wss' if self._certificate else 'ws'}://{self.host}"

    @property
    def elsewhere(self) -> str:
        """An address on this machine that redirects lead to."""
        return f"http://127.0.0.1:{self._ports[1]}/private"

    def spoil(self, fault: Fault, times: int = 1) -> None:
        """Bends the next answers, so many of them; faults wait in line."""
        self._spells += [fault] * times

    @property
    def spoiling(self) -> int:
        """How many answers are still to be bent."""
        return len(self._spells)

    def drop(self) -> None:
        """Ends all answers that are under way, so that whoever listens must ask again."""
        self._generation += 1

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _run(self) -> None:
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        context = self._certificate.for_server() if self._certificate else None
        for tls in (context, None):
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
        self._ports = [address[1] for address in runner.addresses]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()
        # Transports say good-bye in turns of the loop that come after they were closed.
        await asyncio.sleep(0.05)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        at = request.transport.get_extra_info("sockname") if request.transport else None
        if at is None or at[1] != self._ports[0]:
            self.trespasses += 1
            return web.json_response({"secret": "of another machine"})
        asked = Asked(
            request.method,
            request.path,
            {name: request.query.getall(name) for name in request.query},
            {name.lower(): value for name, value in request.headers.items()},
            await request.content.read(_LONGEST_BODY) if request.body_exists else b"",
        )
        self.asked.append(asked)
        generation = self._generation
        try:
            answer = self._bent(self._answer(asked))
        except Exception as error:
            # A script that fails must be seen in the test's output, and not look like a platform's fault.
            answer = refusal(599, {"error": f"the platform's script fails: {error!r}"})
        wire = Wire(
            served=self.served.append,
            filled=self._note_filler,
            open=lambda: not self._ending and generation == self._generation,
        )
        return await send(request, answer, wire)

    def _note_filler(self, size: int) -> None:
        self.filled += size

    def _bent(self, answer: Answer) -> Answer:
        if not self._spells or (self._spells[0].of_items and not _has_posts(answer)):
            return answer
        fault = self._spells.pop(0)
        self.spoilt.append(fault.name)
        bent = fault.bend(answer, self._dialect)
        if fault.redirects:
            bent = replace(bent, headers={**bent.headers, "Location": self.elsewhere})
        return bent


def _has_posts(answer: Answer) -> bool:
    """Of a stream nobody knows it beforehand."""
    items = answer.items
    return posts_among(items) > 0 if isinstance(items, Sequence) else bool(items)
