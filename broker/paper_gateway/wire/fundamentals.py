"""Reports on companies and the event calendar on the wire."""

from __future__ import annotations

from broker.paper_gateway.wire.fields import message


def report(request_id: int, xml: str) -> bytes:
    """Message 51: one report."""
    return message(51, 1, request_id, xml)


def event_kinds(request_id: int, json_text: str) -> bytes:
    """Message 104: what the event calendar knows."""
    return message(104, request_id, json_text)


def events(request_id: int, json_text: str) -> bytes:
    """Message 105: events of the calendar."""
    return message(105, request_id, json_text)
