"""What is written on a stream: one frame an event, and the few that say something about the stream itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from autotrader.core.live.documents import EventRow, event_text

RETRY_MS = 1000
KEEP_ALIVE = b": keep-alive\n\n"
AWAY = b": database away\n\n"
BACK = b": database back\n\n"
REVOKED = b": access ended\n\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """An event as bytes, and what decides who gets it."""

    seq: int
    account: str
    hash: str
    body: bytes


def frame_of(event: EventRow) -> Frame:
    """The frame of a row; its id is the event's `seq`."""
    body = f"id: {event.seq}\ndata: {event_text(event)}\n\n".encode("ascii")
    return Frame(event.seq, event.account, event.hash, body)


def document_of(frame: Frame) -> dict[str, Any]:
    """The event's document as `event_document` made it."""
    found: dict[str, Any] = json.loads(frame.body.partition(b"\ndata: ")[2])
    return found


def start_frame(after: int, head: int, digest: str | None) -> bytes:
    """The first of a response: where it begins, that event's hash, and how far the log goes."""
    said = json.dumps({"after_id": after, "hash": digest, "head": head})
    return f"retry: {RETRY_MS}\nid: {after}\nevent: start\ndata: {said}\n\n".encode("ascii")


def resync_frame(after: int, reason: str) -> bytes:
    """The last of a response: go on from `after`; `reason` says whether what was seen before still holds."""
    said = json.dumps({"after_id": after, "reason": reason})
    return f"id: {after}\nevent: resync\ndata: {said}\n\n".encode("ascii")


def place_frame(seq: int) -> bytes:
    """Moves a client's Last-Event-ID past events that were not for it; makes no event of its own."""
    return f": keep-alive\nid: {seq}\n\n".encode("ascii")


def failure_frame(code: str, message: str) -> bytes:
    """The last of a response that cannot go on: an error as the envelope tells it."""
    said = json.dumps({"code": code, "message": message})
    return f"event: failure\ndata: {said}\n\n".encode("ascii")
