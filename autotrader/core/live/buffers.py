"""What the web server holds for a client that does not read, and how a frame leaves it: daphne takes all at once."""

from __future__ import annotations

import sys
from typing import Any


def held_by(send: Any) -> int:
    """The bytes that daphne's transport has not handed to the kernel yet; 0 under a server that waits by itself.

    Read from Twisted's own buffers, so that a client that acknowledges what it does not read gains nothing by it.
    """
    return _held(_transport(send))


def takes_all(send: Any) -> bool:
    """Whether the server takes whatever it is given at once, as daphne does; others wait until there is room."""
    return hasattr(_transport(send), "doWrite")


def write_at_once(send: Any) -> None:
    """Hand each frame to the kernel as it is sent; what that does not take waits as it always did.

    Twisted has the loop ask the kernel first: two more calls of epoll and a turn of the loop for each frame, which was
    a quarter of the process's time with a thousand pages. Another server and an encrypted socket stay as they are; a
    connection that serves one response after the other is prepared once.
    """
    transport = _transport(send)
    if not takes_all(send) or getattr(transport, "TLS", False) or "startWriting" in vars(transport):
        return
    ask_first = transport.startWriting

    def start() -> None:
        is_free = not transport.disconnecting and len(transport.dataBuffer) == transport.offset and _held(transport)
        if not is_free or transport.doWrite() is not None or _held(transport):
            ask_first()

    transport.startWriting = start


def spare_colours() -> None:
    """Let Autobahn leave out the colours of a debug line that it makes up for each frame, though nobody logs it."""
    for name in ("autobahn.websocket.protocol", "autobahn.twisted.websocket"):
        module = sys.modules.get(name)
        if module is not None:
            vars(module).update(hltype=_plain, hlval=_plain)


def _plain(told: object) -> object:
    return told


def _transport(send: Any) -> Any:
    return getattr(next(iter(getattr(send, "args", ())), None), "transport", None)


def _held(transport: Any) -> int:
    waiting = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return waiting + getattr(transport, "_tempDataLen", 0)
