"""What a request for a stream says: the host, the origin, and the place in the log to begin at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import PermissionDenied

from autotrader.core.errors import Invalid
from autotrader.core.rest.errors import Malformed
from autotrader.core.users.addresses import caller

LARGEST_SEQ = 2**63 - 1
SEQ = re.compile(r"[0-9]{1,19}", re.ASCII)
AFTER, RESUME = "after_id", "last-event-id"
ROWS = "rows"
MOST_PARAMETERS = 20
FOREIGN = "A page of another site may not read this."


def headers_of(scope: Mapping[str, object]) -> dict[str, str]:
    """Lower-case name → value; one that is given several times is joined as HTTP says."""
    found: dict[str, str] = {}
    pairs: list[tuple[bytes, bytes]] = scope["headers"]  # type: ignore[assignment]
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joint = "; " if name == "cookie" else ","
        found[name] = f"{found[name]}{joint}{value}" if name in found else value
    return found


def address_in(scope: Mapping[str, object], headers: Mapping[str, str]) -> str:
    """The caller's address, as the rest of the site tells it."""
    peer: list[str] | None = scope.get("client")  # type: ignore[assignment]
    return caller(peer[0] if peer else "", headers.get("x-forwarded-for", ""))


def refuse_foreign_host(headers: Mapping[str, str]) -> None:
    """Raise Malformed where the request was meant for another host, as the rest of the site does."""
    domain, _ = split_domain_port(headers.get("host", ""))
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        raise Malformed("This host does not answer to that name.", code="HOST_UNKNOWN")


def refuse_foreign_origin(scheme: str, headers: Mapping[str, str]) -> None:
    """Raise PermissionDenied where a browser says that another site's page asks with a person's cookie."""
    origin = headers.get("origin")
    if origin is None or origin == f"{scheme}://{headers['host']}" or origin in settings.CSRF_TRUSTED_ORIGINS:
        return
    try:
        wanted = urlsplit(origin)
    except ValueError as error:  # "http://[", which no browser sends
        raise PermissionDenied(FOREIGN) from error
    for trusted in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS):
        within = trusted.netloc.startswith("*.") and wanted.netloc.endswith(trusted.netloc[1:])
        if within and wanted.scheme == trusted.scheme:
            return
    raise PermissionDenied(FOREIGN)


def lists_asked(query: bytes) -> list[str]:
    """The lists whose rows a page wants, as it names them; `place_asked` has accepted the query."""
    return _parameters(query).get(ROWS, "").split(",")


def place_asked(query: bytes, headers: Mapping[str, str], *, more: str | None = None) -> int | None:
    """The number after which to begin, None for now. Last-Event-ID wins over `after_id`. Raises Invalid.

    Both are looked at: a client that sends nonsense is told so, even where the other one would do. `more` names a
    parameter that is for others.
    """
    told = _parameters(query)
    for unknown in (name for name in told if name not in (AFTER, more)):
        shown = unknown[:40]
        raise Invalid(
            f"There is no parameter {shown!r}; known is {AFTER}.",
            code="UNKNOWN_FIELD",
            details={"field": shown, "fields": {shown: "unknown"}},
        )
    asked = _seq(AFTER, told[AFTER]) if AFTER in told else None
    resumed = _seq("Last-Event-ID", headers[RESUME]) if headers.get(RESUME) else None
    return asked if resumed is None else resumed


def _parameters(query: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise Invalid("There are too many parameters.", details={"field": "", "fields": {}}) from error
    told: dict[str, str] = {}
    for name, value in pairs:
        if name in told:
            shown = name[:40]
            raise Invalid(f"{shown} is given twice.", details={"field": shown, "fields": {shown: "given twice"}})
        told[name] = value
    return told


def _seq(name: str, text: str) -> int:
    number = int(text) if SEQ.fullmatch(text) else -1
    if not 0 <= number <= LARGEST_SEQ:
        wrong = f"must be a whole number from 0 to {LARGEST_SEQ}"
        raise Invalid(f"{name}: {wrong}", details={"field": name, "fields": {name: wrong}})
    return number
