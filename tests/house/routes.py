"""Every address that the site answers, read from its URL map, with an address that fits each pattern."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """One pattern as a person reads it ("/api/orders/<order_ref>/status"), with its name."""

    pattern: str
    name: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(CONVERTER.findall(self.pattern))

    def address(self, values: Mapping[str, object]) -> str:
        """The pattern with these values in the places of its parameters."""
        return CONVERTER.sub(lambda found: str(values[found[1]]), self.pattern)


def routes() -> list[Route]:
    """Sorted; of several patterns that read alike only the first answers."""
    found: dict[str, Route] = {}
    for route in [*raw_routes(), *_walk(get_resolver().url_patterns, "/", "")]:
        found.setdefault(route.pattern, route)
    return sorted(found.values())


def raw_routes() -> list[Route]:
    """What the ASGI application answers before Django is asked."""
    # That module makes of a process without a role a web process, which this is not.
    os.environ.setdefault("AUTOTRADER_PROCESS_ROLE", "command")
    from autotrader.asgi import ROUTES

    return [Route(f"/{path}", "raw") for path in ROUTES]


def _walk(patterns: list[URLPattern | URLResolver], before: str, space: str) -> Iterator[Route]:
    for pattern in patterns:
        path = before + _readable(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _walk(pattern.url_patterns, path, inner)
        else:
            yield Route(path, space + (pattern.name or ""))


def _readable(text: str) -> str:
    """A regular expression without its signs; whatever it catches is "<anything>"."""
    plain = GROUP.sub(lambda found: f"<{found[1]}>", text)
    plain = CONVERTER.sub(lambda found: f"<{found[1]}>", plain)
    if text.startswith("^") and plain == "^":
        return "<anything>"
    return plain.removeprefix("^").removesuffix("$").removesuffix("\\Z")
