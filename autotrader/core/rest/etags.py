"""An answer's tag: who has this very answer is told so in a few bytes."""

from __future__ import annotations

from hashlib import blake2b

from django.http import HttpResponseBase, HttpResponseNotModified
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response


def tagged(request: Request, response: Response) -> HttpResponseBase:
    """The answer with its ETag, or 304 where If-None-Match names it. It may be kept, and must be asked for again."""
    content = response.render().content if isinstance(response, Response) else response.content
    tag = f'"{blake2b(content, digest_size=16).hexdigest()}"'
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ("Authorization", "X-API-Key", "Cookie"))
    return _unchanged(response) if _is_named(tag, request.headers.get("If-None-Match", "")) else response


def _is_named(tag: str, header: str) -> bool:
    """The other conditions of HTTP guard a change; a read that failed by one would be an error that no code tells."""
    named = parse_etags(header)
    # A proxy that compresses on the way marks the tag as weak.
    return "*" in named or tag in {each.removeprefix("W/") for each in named}


def _unchanged(response: Response) -> HttpResponseNotModified:
    kept = {name: response.headers[name] for name in ("ETag", "Cache-Control", "Vary")}
    return HttpResponseNotModified(headers=kept)
