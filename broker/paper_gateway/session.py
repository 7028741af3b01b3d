"""One client's connection: handshake, session start, frames in, frames out."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from typing import Protocol

from broker.paper_gateway.complaints import Complaints
from broker.paper_gateway.subscriptions import Subscriptions
from broker.paper_gateway.wire import answers, versions
from broker.paper_gateway.wire.fields import split
from broker.paper_gateway.wire.framing import FrameReader, FrameTooLong

GREETING = b"API\0"
MAX_OFFER = 1024
MAX_UNSENT = 32 * 1024 * 1024
DRAIN_SECONDS = 10.0
FRAMES_A_TURN = 64
FLUSH_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: closing sends RST


class Tampering(Protocol):
    """Where the faults of a gateway take hold of a connection; `live` is empty where there are none."""

    @property
    def live(self) -> tuple[object, ...]: ...
    def admits(self, session: Session) -> bool: ...
    def arriving(self, session: Session, data: bytes) -> bytes: ...
    def frames(self, session: Session, frames: Iterable[bytes]) -> list[bytes]: ...
    def leaving(self, session: Session, data: bytes) -> bytes: ...


class Hub(Protocol):
    """What a session needs of the gateway it belongs to."""

    @property
    def faults(self) -> Tampering: ...
    @property
    def start_seconds(self) -> float: ...
    @property
    def complaints(self) -> Complaints: ...
    def connected_at(self) -> str: ...
    def opened(self, session: Session) -> None: ...
    def received(self, session: Session, fields: list[str]) -> None: ...
    def commit(self) -> None: ...
    def has_frames(self, session: Session) -> None: ...
    def flush(self) -> None: ...
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
        self._is_deaf = False
        self._is_behind = False
        self._in_line = 0
        self._start_timer: asyncio.TimerHandle | None = None
        self._outbox: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def is_open(self) -> bool:
        """Whether the socket still takes frames."""
        return self._transport is not None and not self._transport.is_closing()

    # From the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the socket; nothing is sent before the client speaks, and it must not take for ever to do so."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # With no slack, "writable" means that the kernel has everything: the fence that `drained` waits for.
        transport.set_write_buffer_limits(high=0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._start_timer = asyncio.get_running_loop().call_later(self.hub.start_seconds, self._give_up)
        self.hub.opened(self)
        if not self.hub.faults.admits(self):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the client id at once."""
        self._transport = None
        self.started()
        self._writable.set()
        self.hub.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes split at any place, handle the frames that are whole, then write what came of them."""
        if self.hub.faults.live:
            data = self.hub.faults.arriving(self, data)
        self._reader.feed(data)
        if not self._is_behind:
            self._process()

    def pause_writing(self) -> None:
        """The client reads too slowly: no further request of it is handled until it has read its answers."""
        self._writable.clear()
        self._heed()

    def resume_writing(self) -> None:
        """Everything written is on its way: go on with the requests that waited."""
        self._writable.set()
        self._heed()

    def eof_received(self) -> None:
        """The client hung up: its id is free at once, whatever it has not read."""
        self.abort()

    async def drained(self) -> None:
        """Return when every frame flushed so far was handed to the kernel; a client that does not read is cut off."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._writable.wait()
        except TimeoutError:
            self.abort()

    # To the client

    def send(self, *frames: bytes) -> None:
        """Put frames in line; they leave with the next flush."""
        if self.is_open:
            self._put(self.hub.faults.frames(self, frames) if self.hub.faults.live else frames)

    def deliver(self, *frames: bytes) -> None:
        """Write frames now, past all faults."""
        if self.is_open:
            self._put(frames)
            self.flush()

    def error(self, request_id: int, code: int, text: str) -> None:
        """Put an error frame in line."""
        self.send(answers.error(self.version, request_id, code, text))

    def flush(self) -> None:
        """Write all frames in line at once; a client that does not read them is cut off."""
        if not self._outbox:
            return
        self.hub.commit()  # before anything is taken from the line: what cannot be kept is told later, or never
        data = b"".join(self._outbox)
        self._outbox.clear()
        self._in_line = 0
        if self.is_open and self.hub.faults.live:
            data = self.hub.faults.leaving(self, data)
        self.write(data)

    def write(self, data: bytes) -> None:
        """Bytes as they are, once all that they tell is kept; a client that does not read them is cut off."""
        if self._transport is None or self._transport.is_closing() or not data:
            return
        self.hub.commit()
        if self._transport.get_write_buffer_size() + len(data) > MAX_UNSENT and not self._writable.is_set():
            self.hub.complaints.warn("client %s does not read; connection aborted", self.client_id)
            self.abort()
            return
        self._transport.write(data)

    # The life of the connection

    def started(self) -> None:
        """The session has begun, or never will: nobody waits for it any more."""
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None

    def close(self) -> None:
        """Send what is in line, then close; a client that does not read is not waited for."""
        self.flush()
        if not self._writable.is_set():
            self.abort()
        elif self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection without sending what is left."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """End the connection by RST."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def reset_soon(self) -> None:
        """End it by RST once what is being handled now is done."""
        asyncio.get_running_loop().call_soon(self.reset)

    def deafen(self) -> None:
        """Read nothing any more, not even the end of the connection."""
        self._is_deaf = True
        self._heed()

    def hear(self) -> None:
        """Read again, beginning with what has come meanwhile."""
        self._is_deaf = False
        self._heed()

    def _put(self, frames: Iterable[bytes]) -> None:
        if not self._outbox:
            self.hub.has_frames(self)
        for frame in frames:
            self._outbox.append(frame)
            self._in_line += len(frame)

    def _give_up(self) -> None:
        if not self._is_deaf:
            self.hub.complaints.warn("a connection did not start a session within %s s; closed", self.hub.start_seconds)
            self.abort()

    @property
    def _listens(self) -> bool:
        return not self._is_deaf and self._writable.is_set()

    def _heed(self) -> None:
        """Read from the socket where nothing speaks against it."""
        if not self.is_open or self._transport is None:
            return
        if not self._listens:
            self._transport.pause_reading()
        elif not self._is_behind:
            self._transport.resume_reading()
            self._process()

    def _process(self) -> None:
        """Handle what has arrived, some frames at a time, so that one busy client does not hold up the others."""
        try:
            for _ in range(FRAMES_A_TURN):
                if not self.is_open or not self._listens or not self._step():
                    break
                if self._in_line > FLUSH_BYTES:
                    self.hub.flush()
            else:
                self._go_on_later()
        except FrameTooLong as error:
            self.hub.complaints.warn(
                "client %s announced a frame of %s bytes; connection closed", self.client_id, error
            )
            self.close()
        self.hub.flush()

    def _go_on_later(self) -> None:
        if self.is_open and self._transport is not None:
            self._is_behind = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        self._is_behind = False
        self._heed()

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
