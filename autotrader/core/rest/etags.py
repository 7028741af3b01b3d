"""An answer's tag: who has this very answer is told so in a few bytes."""

from __future__ import annotations

from hashlib import blake2b

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from rest_framework.request import Request
from rest_framework.response import Response


def tagged(request: Request, response: Response) -> HttpResponseBase:
    """The answer with its ETag, or 304 where If-None-Match names it. It may be kept, and must be asked for again."""
    content = response.render().content if isinstance(response, Response) else response.content
    tag = f'"{blake2b(content, digest_size=16).hexdigest()}"'
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ("Authorization", "X-API-Key", "Cookie"))
    return get_conditional_response(request._request, etag=tag, response=response) or response
