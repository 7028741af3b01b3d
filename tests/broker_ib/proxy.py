"""A TCP proxy before a gateway that can add, drop and withhold frames on their way to the client."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import threading
from contextlib import suppress
from types import TracebackType


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = source.recv(count - len(data))
        if not chunk:
            raise ConnectionError
        data += chunk
    return data


def _framed(*fields: object) -> bytes:
    payload = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


def _frame(source: socket.socket) -> bytes:
    head = _exactly(source, 4)
    return head + _exactly(source, struct.unpack(">I", head)[0])


def _waits(source: socket.socket) -> bool:
    """Whether bytes have come that nobody has taken yet; of a closed one none can be taken."""
    return source.fileno() >= 0 and bool(struct.unpack("i", fcntl.ioctl(source, termios.FIONREAD, bytes(4)))[0])


def _hang_up(side: socket.socket) -> None:
    """Close a socket that another thread may be reading."""
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
    side.close()


class Proxy:
    """Forwards one connection after the other.

    `muted` drops every frame to the client meanwhile, `dropped` those of its message ids.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = "127.0.0.1", int(self._listener.getsockname()[1])
        self.connections = 0
        self._muted = False
        self.rolled_back_id: int | None = None
        self.dropped: frozenset[str] = frozenset()
        self._client: socket.socket | None = None
        self._gateway: socket.socket | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _hang_up(self._listener)
        if self._client is not None:
            _hang_up(self._client)

    @property
    def muted(self) -> bool:
        """Whether frames to the client are dropped."""
        return self._muted

    @muted.setter
    def muted(self, is_muted: bool) -> None:
        """What the gateway has written before the end of it is dropped, too, however late it is looked at."""
        with self._lock, suppress(OSError):
            while not is_muted and self._gateway is not None and _waits(self._gateway):
                _frame(self._gateway)
        self._muted = is_muted

    def inject(self, *fields: object) -> None:
        """Send the client a frame of our own, between two of the gateway's."""
        self.burst(fields)

    def burst(self, *frames: tuple[object, ...]) -> None:
        """Send the client several frames that arrive together."""
        with self._lock:
            assert self._client is not None
            self._client.sendall(b"".join(_framed(*fields) for fields in frames))

    def hang_up_after(self, seconds: float) -> None:
        """Close the client's connection a little later."""
        assert self._client is not None
        threading.Timer(seconds, _hang_up, [self._client]).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            gateway = socket.create_connection(self._target)
            for side in (client, gateway):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client, self._gateway = client, gateway
            self.connections += 1
            threading.Thread(target=self._up, args=(client, gateway), daemon=True).start()
            threading.Thread(target=self._down, args=(gateway, client), daemon=True).start()

    def _up(self, client: socket.socket, gateway: socket.socket) -> None:
        try:
            while data := client.recv(65536):
                gateway.sendall(data)
        except OSError:
            pass
        finally:
            _hang_up(gateway)

    def _down(self, gateway: socket.socket, client: socket.socket) -> None:
        try:
            while True:
                if not gateway.recv(1, socket.MSG_PEEK):
                    return
                with self._lock:
                    if _waits(gateway):
                        self._pass_on(_frame(gateway), client)
        except OSError:
            pass
        finally:
            _hang_up(client)

    def _pass_on(self, frame: bytes, client: socket.socket) -> None:
        if self.rolled_back_id is not None and frame[4:].startswith(b"9\0"):
            frame = _framed(9, 1, self.rolled_back_id)
        if not self.muted and frame[4:].split(b"\0", 1)[0].decode() not in self.dropped:
            client.sendall(frame)
