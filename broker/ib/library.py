"""Imports ib_insync safely from any thread: eventkit asks for the thread's event loop while it is imported."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ib_insync"]


@contextmanager
def _some_event_loop() -> Iterator[None]:
    """See to it that this thread has an event loop meanwhile; the main thread has one of its own."""
    try:
        asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            yield
        finally:
            asyncio.set_event_loop(None)
            loop.close()
    else:
        yield


with _some_event_loop():
    import ib_insync
