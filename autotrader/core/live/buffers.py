"""What the web server holds for a client that does not read: daphne takes all and tells nobody."""

from __future__ import annotations

from typing import Any


def held_by(send: Any) -> int:
    """The bytes that daphne's transport has not handed to the kernel yet; 0 under a server that waits by itself.

    Read from Twisted's own buffers, so that a client that acknowledges what it does not read gains nothing by it.
    """
    protocol = next(iter(getattr(send, "args", ())), None)
    transport = getattr(protocol, "transport", None)
    waiting = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return waiting + getattr(transport, "_tempDataLen", 0)
