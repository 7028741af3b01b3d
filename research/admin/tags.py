"""What pages above may show of the calls to a model; the template library `model_calls`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import template

from autotrader.core.artifacts.models import Artifact
from autotrader.core.formats import document
from research.models import ModelCall

register = template.Library()


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt as text; a picture in it appears as its hash."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A call with its prompt taken apart and the pictures it was shown."""

    call: ModelCall
    messages: list[Message]
    images: list[Artifact]


@register.simple_tag
def model_calls(ids: Sequence[int]) -> list[ShownCall]:
    """The calls of these ids in their order, each with prompt and pictures."""
    calls = ModelCall.objects.in_bulk(list(ids))
    hashes = {digest for call in calls.values() for digest in call.images}
    pictures = {row.sha256: row for row in Artifact.objects.filter(sha256__in=hashes, media_type__startswith="image/")}
    return [
        ShownCall(
            call=call,
            messages=prompt_messages(call.request),
            images=[pictures[digest] for digest in call.images if digest in pictures],
        )
        for call in (calls[key] for key in ids if key in calls)
    ]


def prompt_messages(request: str) -> list[Message]:
    """The messages of a stored request; a request of another shape becomes one message with its text."""
    try:
        stored = json.loads(request)
        messages = stored["messages"] if isinstance(stored, dict) else stored
        return [Message(str(message["role"]), _text(message["content"])) for message in messages]
    except (ValueError, LookupError, TypeError):
        return [Message("request", request)]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return "\n\n".join(_part(part) for part in parts)


def _part(part: Any) -> str:
    if isinstance(part, dict) and "text" in part:
        return str(part["text"])
    return document(part)
