"""Bounds what the web server keeps of a request's body: daphne itself holds all of it in memory, whoever sent it."""

from __future__ import annotations

import sys
from typing import Any

# More than Django reads of a form (2.5 MiB) and than any endpoint reads, so that what is cut off was refused anyhow.
KEPT = 3 * 1024 * 1024  # bytes


def bound_bodies() -> None:
    """Let daphne drop what comes of a body after KEPT bytes; nothing where another server runs the application."""
    protocol = sys.modules.get("daphne.http_protocol")
    if protocol is not None:
        protocol.WebRequest.handleContentChunk = _keep


def _keep(request: Any, data: bytes) -> None:
    """In place of Twisted's own, which keeps everything."""
    room = KEPT - request.content.tell()
    if room > 0:
        request.content.write(data[:room])
