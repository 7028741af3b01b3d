"""A client of nothing but sockets and bytes, for speed: handshake, orders, cancels and ticks without a library."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from types import TracebackType

from broker.paper_gateway.wire.framing import FrameReader, frame

SPY = 756733
# What follows the time in force of a plain order at version 176: everything empty or at its default.
_AFTER_TIF = (
    *("", "", "O", "0"),
    *("{ref}", "1", "0", "0", "0", "0", "0", "0", "0"),
    *("", "0.0", "", "", "", "", "", "", "", "0", "", "-1", "0", "", "", "0", "", "", "0", "0", "", "0", "", ""),
    *("", "", "", "0", "", "", "", "", "0", "", "", "", "", "", "", "", "", "", "", "0", "", "", "0", "0", ""),
    *("", "0", "", "0", "0", "0", "0", "", "", "", "", "", "", "0", "", "", "", "", "", "", "", "", "0", "0"),
    *("0", "", "", "", "0", "", ""),
)


def order_fields(order_id: int, action: str, quantity: int, limit: float | None, ref: str = "raw") -> list[str]:
    """A plain order for SPY as version 176 lays it out; at the market where it has no limit."""
    kind, price = ("MKT", "") if limit is None else ("LMT", repr(limit))
    contract = (str(SPY), "SPY", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", "", "")
    head = ("3", str(order_id), *contract, action, str(quantity), kind, price, "", "DAY")
    return [*head, *(ref if field == "{ref}" else field for field in _AFTER_TIF)]


def encode(*fields: object) -> bytes:
    """One frame of the given fields."""
    return frame(("\0".join(map(str, fields)) + "\0").encode())


class SpeedClient:
    """An asyncio client that counts what it is sent by message id."""

    def __init__(self, port: int, client_id: int) -> None:
        self.port = port
        self.client_id = client_id
        self.counts: Counter[bytes] = Counter()
        self.next_id = 1
        self._frames = FrameReader()

    async def __aenter__(self) -> SpeedClient:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writer.write(b"API\0" + frame(b"v157..176"))
        await self._receive()
        self._writer.write(encode(71, 2, self.client_id, ""))
        await self.until(b"9", 1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """Bytes as they are, as fast as the gateway takes them."""
        self._writer.write(data)
        await self._writer.drain()

    async def until(self, message_id: bytes, count: int) -> None:
        """Read until that many messages of an id have come since the connection began."""
        while self.counts[message_id] < count:
            await self._receive()

    async def fence(self) -> None:
        """Return once everything that the gateway wrote before has been read."""
        expected = self.counts[b"49"] + 1
        await self.send(encode(49, 1))
        await self.until(b"49", expected)

    def orders(self, count: int) -> Iterable[bytes]:
        """Frames of that many limit orders far from the market, each followed by its cancel."""
        for order_id in range(self.next_id, self.next_id + count):
            yield encode(*order_fields(order_id, "BUY", 1, 1.0)) + encode(4, 1, order_id, "")
        self.next_id += count

    async def _receive(self) -> None:
        data = await self._reader.read(1 << 18)
        if not data:
            raise ConnectionError("the gateway closed the connection")
        self._frames.feed(data)
        while (payload := self._frames.next()) is not None:
            message_id = payload[: payload.index(0)]
            self.counts[message_id] += 1
            if message_id == b"9":
                self.next_id = max(self.next_id, int(payload.split(b"\0")[2]))
