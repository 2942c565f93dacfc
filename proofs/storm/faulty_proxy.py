"""A proxy for an S3 server that injects the faults of servers and networks."""

import asyncio
import contextlib
import random
import threading
import time
from dataclasses import dataclass

from proofs.storm.weather import CLEAR, Weather

SLOW_SECONDS = 2.0
OUTAGE_SECONDS = 4.0
"""longest outage; requests retried immediately fail again"""
_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>injected</Message></Error>'
_REFUSALS = {
    500: ("Internal Server Error", "InternalError"),
    503: ("Slow Down", "SlowDown"),
    409: ("Conflict", "ConditionalRequestConflict"),
    412: ("Precondition Failed", "PreconditionFailed"),
    507: ("Insufficient Storage", "InsufficientCapacity"),
}


@dataclass(frozen=True)
class _Message:
    """A request or answer of HTTP/1.1."""

    first: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    """as sent, chunked or not"""

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    def __bytes__(self) -> bytes:
        lines = [self.first, *(key + b": " + value for key, value in self.headers)]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


class FaultyProxy:
    """Listens on 127.0.0.1 in its own thread. `weather` may change at any time."""

    def __init__(self, host: str, port: int) -> None:
        self.weather: Weather = CLEAR
        self.injected = 0
        """faults so far"""
        self.writes = 0
        """writing requests so far"""
        self._upstream = (host, port)
        self._outage_until = 0.0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            upstream = await asyncio.open_connection(*self._upstream)
            while await self._pass_one(reader, writer, *upstream):
                pass
        for stream in (writer, upstream[1] if upstream else None):
            if stream is not None:
                stream.close()

    async def _pass_one(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
    ) -> bool:
        """Pass on one request and its answer; False when the connection ends."""
        request = await _read(reader, writer)
        writes = request.first.split(b" ")[0] in (b"PUT", b"POST", b"DELETE")
        if writes:
            self.writes += 1
            await asyncio.sleep(random.uniform(0, self.weather.most_delay))
        fault = self._fault(request, writes=writes)
        if fault == "slow":
            await asyncio.sleep(random.uniform(0, SLOW_SECONDS))
        elif fault == "cut before":
            return False
        elif isinstance(fault, int):
            writer.write(_refusal(fault, request))
            await writer.drain()
            return True
        requests.write(bytes(request))
        await requests.drain()
        answer = await _read(answers, None, bodiless=request.first.startswith(b"HEAD"))
        if fault == "cut after":
            return False
        writer.write(bytes(answer))
        await writer.drain()
        return (answer.header(b"connection") or b"").lower() != b"close"

    def _fault(self, request: _Message, *, writes: bool) -> int | str | None:
        if self.weather.full and writes:
            self.injected += 1
            return 507
        if not self.weather.share:
            return None
        if time.monotonic() < self._outage_until:
            self.injected += 1
            return 503
        if random.random() >= self.weather.share:
            return None
        self.injected += 1
        kinds: list[int | str] = ["slow", "cut before", "cut after", 500, 503, "outage"]
        kinds += [507] if writes else []
        kinds += [409, 412] if request.header(b"if-none-match") or request.header(b"if-match") else []
        kind = random.choice(kinds)
        if kind == "outage":
            self._outage_until = time.monotonic() + random.uniform(0, OUTAGE_SECONDS)
            return 503
        return kind


def _refusal(status: int, request: _Message) -> bytes:
    reason, code = _REFUSALS[status]
    body = b"" if request.first.startswith(b"HEAD") else _ERROR.format(code=code).encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, *, bodiless: bool = False
) -> _Message:
    """Read the next message. `writer` answers a client that waits to send its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = []
    for line in lines:
        key, _, value = line.partition(b":")
        if key.lower() == b"expect" and writer is not None:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
        else:
            headers.append((key, value.strip()))
    message = _Message(first, tuple(headers), b"")
    if bodiless or first.split(b" ")[1] in (b"204", b"304"):
        return message
    if (message.header(b"transfer-encoding") or b"").lower() == b"chunked":
        return _Message(first, tuple(headers), await _chunks(reader))
    length = int(message.header(b"content-length") or 0)
    return _Message(first, tuple(headers), await reader.readexactly(length))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body as sent."""
    sent = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        sent += line + await reader.readexactly(size + 2)
        if not size:
            return sent
