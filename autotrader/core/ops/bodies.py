"""Bounds what the web server takes of a request, of its body and its headers, and what it does for each beside."""

from __future__ import annotations

import sys
from typing import Any

# More than Django reads of a form (2.5 MiB) and than any endpoint reads, so that what is cut off was refused anyhow.
KEPT = 3 * 1024 * 1024  # bytes
# Daphne takes the first for where the site is mounted, from whoever sends it, and fails at either beyond ASCII. The
# site stands at the root, and its sockets speak no subprotocol.
DROPPED = ("daphne-root-path", "sec-websocket-protocol")


def bound_bodies() -> None:
    """Let daphne drop what comes of a body after KEPT bytes; nothing where another server runs the application."""
    protocol = sys.modules.get("daphne.http_protocol")
    if protocol is not None:
        protocol.WebRequest.handleContentChunk = _keep


def drop_headers() -> None:
    """Let daphne see none of the headers DROPPED, of a request or a socket; nothing where another server runs."""
    protocol = sys.modules.get("daphne.http_protocol")
    if protocol is not None:
        protocol.WebRequest.requestReceived = _begin


def spare_lines() -> None:
    """Let Twisted write no line for each request into a log of its own, which nobody reads; ours has one."""
    protocol = sys.modules.get("daphne.http_protocol")
    if protocol is not None:
        protocol.HTTPFactory.log = _say_nothing


def _say_nothing(factory: Any, request: Any) -> None:
    """In place of Twisted's own."""


def _keep(request: Any, data: bytes) -> None:
    """In place of Twisted's own, which keeps everything."""
    room = KEPT - request.content.tell()
    if room > 0:
        request.content.write(data[:room])


def _begin(request: Any, command: bytes, path: bytes, version: bytes) -> None:
    """Before Twisted's own, which hands the whole request to daphne."""
    for name in DROPPED:
        request.requestHeaders.removeHeader(name)
    sys.modules["daphne.http_protocol"].http.Request.requestReceived(request, command, path, version)
