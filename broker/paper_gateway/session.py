"""One client's connection: handshake, session start, frames in, frames out."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Protocol

from broker.paper_gateway.subscriptions import Subscriptions
from broker.paper_gateway.wire import answers, versions
from broker.paper_gateway.wire.fields import split
from broker.paper_gateway.wire.framing import FrameReader, FrameTooLong

GREETING = b"API\0"
MAX_OFFER = 1024
MAX_UNSENT = 32 * 1024 * 1024
DRAIN_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Hub(Protocol):
    """What a session needs of the gateway it belongs to."""

    def connected_at(self) -> str: ...
    def opened(self, session: Session) -> None: ...
    def received(self, session: Session, fields: list[str]) -> None: ...
    def closed(self, session: Session) -> None: ...


class Session(asyncio.Protocol):
    """A client from its first byte to its last; frames wait in `outbox` until the gateway flushes them in one write."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.version = 0
        self.client_id: int | None = None
        self.subscriptions = Subscriptions()
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader(MAX_OFFER)
        self._greeted = False
        self._outbox: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def is_open(self) -> bool:
        """Whether the socket still takes frames."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the socket; nothing is sent before the client speaks."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # With no slack, "writable" means that the kernel has everything: the fence that `drained` waits for.
        transport.set_write_buffer_limits(high=0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.hub.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the client id at once."""
        self._transport = None
        self._writable.set()
        self.hub.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes split at any place and handle the frames that are whole."""
        self._reader.feed(data)
        self._process()

    def pause_writing(self) -> None:
        """The client reads too slowly: no further request of it is handled until it has read its answers."""
        self._writable.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Everything written is on its way: go on with the requests that waited."""
        self._writable.set()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._process()

    def eof_received(self) -> None:
        """The client hung up: its id is free at once, whatever it has not read."""
        self.abort()

    async def drained(self) -> None:
        """Return when every frame flushed so far was handed to the kernel; a client that does not read is cut off."""
        try:
            await asyncio.wait_for(self._writable.wait(), DRAIN_SECONDS)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """End the connection without sending what is left."""
        if self._transport is not None:
            self._transport.abort()

    def send(self, *frames: bytes) -> None:
        """Put frames in line; they leave with the next flush."""
        if self.is_open:
            self._outbox += frames

    def error(self, request_id: int, code: int, text: str) -> None:
        """Put an error frame in line."""
        self.send(answers.error(self.version, request_id, code, text))

    def flush(self) -> None:
        """Write all frames in line at once; a client that does not read them is cut off."""
        if not self._outbox:
            return
        data = b"".join(self._outbox)
        self._outbox.clear()
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() + len(data) > MAX_UNSENT and not self._writable.is_set():
            logger.warning("client %s does not read; connection aborted", self.client_id)
            self.abort()
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what is in line, then close; a client that does not read is not waited for."""
        self.flush()
        if not self._writable.is_set():
            self.abort()
        elif self._transport is not None:
            self._transport.close()

    def _process(self) -> None:
        try:
            while self.is_open and self._writable.is_set() and self._step():
                pass
        except FrameTooLong as error:
            logger.warning("client %s announced a frame of %s bytes; connection closed", self.client_id, error)
            self.close()

    def _step(self) -> bool:
        """Handle one frame; False when more bytes are needed."""
        if not self._greeted:
            return self._greet()
        payload = self._reader.next()
        if payload is None:
            return False
        if not self.version:
            self._agree(payload)
        else:
            self.hub.received(self, split(payload))
        return True

    def _greet(self) -> bool:
        greeting = self._reader.take(len(GREETING))
        if greeting is None:
            return False
        if greeting != GREETING:
            self.close()
        self._greeted = True
        return True

    def _agree(self, payload: bytes) -> None:
        version = versions.agree(payload.decode("ascii", errors="replace").rstrip("\0"))
        if version is None:
            self.close()
            return
        self.version = version
        self._reader.limit = FrameReader().limit
        self.send(answers.handshake(version, self.hub.connected_at()))
        self.flush()
