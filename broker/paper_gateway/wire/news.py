"""News on the wire: providers, headlines and articles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from broker.paper_gateway.reference.news import Provider, Story
from broker.paper_gateway.wire.fields import message

_TEXT, _BINARY = 0, 1


def providers(rows: Sequence[Provider]) -> bytes:
    """Message 85: who may be asked for news."""
    fields = [field for provider in rows for field in provider]
    return message(85, len(rows), *fields)


def headline(request_id: int, story: Story) -> bytes:
    """Message 86: one headline; the time is UTC."""
    at = f"{story.time.astimezone(UTC):%Y-%m-%d %H:%M:%S}.0"
    return message(86, request_id, at, story.provider, story.id, _one_field(story.headline))


def headlines_end(request_id: int, *, has_more: bool) -> bytes:
    """Message 87: those were the headlines; `has_more` when more match than were asked for."""
    return message(87, request_id, has_more)


def article(request_id: int, story: Story) -> bytes:
    """Message 83: text or HTML as it is, a PDF in base64."""
    return message(83, request_id, _BINARY if story.kind == "binary" else _TEXT, _one_field(story.text))


def _one_field(text: str) -> str:
    """Text without the character that ends a field."""
    return text.replace("\0", " ")
