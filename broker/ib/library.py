"""The one switch between ib_insync and ib_async: whichever is installed is imported, safely from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

__all__ = ["LIBRARY", "ib_insync"]


@contextmanager
def _some_event_loop() -> Iterator[None]:
    """See to it that this thread has an event loop meanwhile: eventkit asks for one while it is imported."""
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


def _refuse_both() -> None:
    if find_spec("ib_insync") and find_spec("ib_async"):
        raise ImportError("ib_insync and ib_async are both installed; each overwrites the other's eventkit: keep one.")


_refuse_both()
with _some_event_loop():
    try:
        import ib_insync
    except ModuleNotFoundError:
        import ib_async as ib_insync

LIBRARY = f"{ib_insync.__name__} {ib_insync.__version__}"
