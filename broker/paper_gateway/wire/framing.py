"""Frames of the TWS protocol: a 4-byte big-endian length, then the payload; read at any split, written in one piece."""

from __future__ import annotations

MAX_FRAME = 16 * 1024 * 1024
PREFIX = 4


class FrameTooLong(Exception):
    """A length prefix above the limit: the stream cannot be trusted any more."""


def frame(payload: bytes) -> bytes:
    """The payload with its length in front."""
    return len(payload).to_bytes(PREFIX, "big") + payload


class FrameReader:
    """Collects bytes as they arrive and hands out whole payloads."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def take(self, size: int) -> bytes | None:
        """The next `size` raw bytes, or None while they are not all there."""
        end = self._start + size
        if len(self._buffer) < end:
            return None
        piece = bytes(self._buffer[self._start : end])
        self._start = end
        return piece

    def next(self) -> bytes | None:
        """The next payload, or None while it is incomplete; raises FrameTooLong."""
        body = self._start + PREFIX
        if len(self._buffer) < body:
            return None
        length = int.from_bytes(self._buffer[self._start : body], "big")
        if length > self.limit:
            raise FrameTooLong(length)
        if len(self._buffer) < body + length:
            return None
        self._start = body + length
        return bytes(self._buffer[body : self._start])
