"""Puts an answer onto the wire: whole, slowly, broken in the middle or never."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import struct
import zlib
from collections.abc import AsyncIterator, Callable

from aiohttp import WSCloseCode, web
from msgspec import Struct

from testkit.platform.answers import Answer, Item, listed

_TICK = 0.02
_FILLER = b"x" * 65536
_TYPES = {"page": "application/json", "lines": "application/json", "events": "text/event-stream"}
_BETWEEN = {"lines": b"\r\n", "events": b":thump\n\n"}


class Wire(Struct):
    """What the sending needs of its server. ``served`` hears the ids of items that were written whole,
    ``filled`` the bytes of filler, ``open`` says whether streams may go on."""

    served: Callable[[str], None]
    filled: Callable[[int], None]
    open: Callable[[], bool]


class _Broken(Exception):
    """The answer has come to the place where it breaks off."""


async def send(request: web.BaseRequest, answer: Answer, wire: Wire) -> web.StreamResponse:
    """Answers the request; returns when all is said or the other side is gone."""
    if answer.silent:
        while wire.open() and _there(request):
            await asyncio.sleep(_TICK)
        _break(request)
        return web.Response()
    if answer.form == "websocket" and answer.status == 200:
        return await _send_frames(request, answer, wire)
    if answer.form == "page" or answer.status != 200:
        return await _send_page(request, answer, wire)
    return await _send_stream(request, answer, wire)


def _there(request: web.BaseRequest) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def _break(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _send_page(request: web.BaseRequest, answer: Answer, wire: Wire) -> web.StreamResponse:
    items = [item for item in answer.items if item is not None]
    body = (answer.wrap or listed)([item.text() for item in items])
    if answer.keep_alives:
        body = b"\n  \n" + body
    headers = {"Content-Type": _TYPES["page"], **answer.headers}
    if answer.gzip:
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body)
    length = answer.padding or len(body)
    response = web.StreamResponse(status=answer.status, headers={**headers, "Content-Length": str(length)})
    with contextlib.suppress(ConnectionError):  # who asked may be gone, and wait for no answer any more
        await response.prepare(request)
        if answer.padding:
            await _fill(request, answer.padding, wire)
        elif answer.cut_after is not None:
            await response.write(body[: len(body) * 2 // 3])
            await asyncio.sleep(_TICK)
            _break(request)
        else:
            await response.write(body)
            await response.write_eof()
            for item in items:
                wire.served(item.id)
    return response


async def _send_stream(request: web.BaseRequest, answer: Answer, wire: Wire) -> web.StreamResponse:
    headers = {"Content-Type": _TYPES[answer.form], **answer.headers}
    packer = zlib.compressobj(wbits=31) if answer.gzip else None
    response = web.StreamResponse(headers={**headers, "Content-Encoding": "gzip"} if packer else headers)
    await response.prepare(request)
    between = _BETWEEN[answer.form]

    async def say(data: bytes) -> None:
        # Flushed piece by piece: who reads a stream must not wait for its end.
        await response.write(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else data)

    async def pause() -> None:
        await say(between)

    with contextlib.suppress(ConnectionError, _Broken):
        if answer.padding:
            for _ in range(answer.padding // len(_FILLER)):
                wire.filled(len(_FILLER))
                await say(_FILLER)
        async for item, broken in _flow(request, answer, wire, pause):
            text = _framed(answer, item)
            await say(text[: len(text) // 2] if broken else text)
            await _finish(request, item, broken, wire)
        if packer:
            await response.write(packer.flush())
        await response.write_eof()
    return response


def _framed(answer: Answer, item: Item) -> bytes:
    if answer.form == "events":
        return b"event: update\ndata: " + item.text() + b"\n\n"
    return item.text() + b"\r\n"


async def _send_frames(request: web.BaseRequest, answer: Answer, wire: Wire) -> web.StreamResponse:
    socket = web.WebSocketResponse(compress=answer.gzip, autoping=True, timeout=1.0)
    await socket.prepare(request)
    listening = asyncio.create_task(_listen(socket))

    async def pause() -> None:
        await socket.ping()

    try:
        if answer.padding:
            _write(request, b"\x81\x7f" + struct.pack(">Q", answer.padding))
            await _fill(request, answer.padding, wire)
        async for item, broken in _flow(request, answer, wire, pause):
            if broken:
                text = item.text()
                _write(request, b"\x81\x7e" + struct.pack(">H", len(text)) + text[: len(text) // 2])
            else:
                await socket.send_str(item.text().decode())
            await _finish(request, item, broken, wire)
        await socket.close(code=WSCloseCode.GOING_AWAY)
    except (ConnectionError, _Broken):
        pass
    finally:
        listening.cancel()
    return socket


async def _listen(socket: web.WebSocketResponse) -> None:
    """Hears pongs and the farewell, which the library answers by itself."""
    with contextlib.suppress(Exception):
        async for _ in socket:
            pass


async def _flow(
    request: web.BaseRequest, answer: Answer, wire: Wire, pause: Callable[[], object]
) -> AsyncIterator[tuple[Item, bool]]:
    """The items as they come due, each with whether the wire breaks within it."""
    sent = 0
    for item in answer.items:
        if not wire.open() or not _there(request):
            return
        if answer.keep_alives:
            await pause()  # type: ignore[misc]
        if item is None:
            await asyncio.sleep(_TICK)
            continue
        yield item, sent == answer.cut_after
        sent += 1
    while answer.hold and wire.open() and _there(request):
        if answer.keep_alives:
            await pause()  # type: ignore[misc]
        await asyncio.sleep(_TICK)


async def _finish(request: web.BaseRequest, item: Item, broken: bool, wire: Wire) -> None:
    """Notes an item as served, or breaks the wire within it."""
    if broken:
        await asyncio.sleep(_TICK)
        _break(request)
        raise _Broken
    wire.served(item.id)


async def _fill(request: web.BaseRequest, size: int, wire: Wire) -> None:
    """Filler for as long as the other side takes it."""
    sent = 0
    while sent < size and wire.open() and _there(request):
        wire.filled(len(_FILLER))
        _write(request, _FILLER)
        sent += len(_FILLER)
        while _there(request) and request.transport.get_write_buffer_size() > 4 * len(_FILLER):  # type: ignore[union-attr]
            await asyncio.sleep(0.001)
    _break(request)


def _write(request: web.BaseRequest, data: bytes) -> None:
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError
    request.transport.write(data)
