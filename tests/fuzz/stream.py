"""The event stream under odd requests: it never ends, so that only the head of each answer is read."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from itertools import product
from urllib.parse import urlsplit

from tests.fuzz.running import Figures, known_codes

PATH = "/api/events/stream"
ODD = (
    "-1", "0", "1", "1e3", "1.0", "NaN", "Infinity", "9" * 30, str(2**63 - 1), str(2**63), "%00", "%ff", "", "%D9%A3",
    "+1", "%201", "0x10", "true", "[]", "null", "a" * 3000, "1%0d%0aX:y",
)  # fmt: skip
HEADERS = ("", "0", "-1", "NaN", "9" * 30, "a\x7f", "1,2", "é")
# Servers and proxies give these a meaning of their own.
SERVER_HEADERS = ("Daphne-Root-Path", "Sec-WebSocket-Protocol", "X-Forwarded-For", "X-Correlation-Id", "Origin")
METHODS = ("POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
EXPECTED = {200, 400, 401, 403, 405, 422, 429}
Asked = tuple[str, str, dict[str, str]]


def requests(key: str) -> Iterator[Asked]:
    """Method, path with query, headers."""
    login = {"Authorization": f"Bearer {key}"}
    yield from (("GET", f"{PATH}?after_id={value}", login) for value in ODD)
    yield from (("GET", PATH, {**login, "Last-Event-ID": value}) for value in HEADERS)
    yield from (("GET", f"{PATH}?after_id=0", {**login, "Last-Event-ID": value}) for value in HEADERS)
    yield from (("GET", PATH, {**login, name: value}) for name, value in product(SERVER_HEADERS, ("é", "/x", "%C3%A9")))
    yield from (
        ("GET", f"{PATH}?{name}={value}", login) for name, value in product(("after", "%00", "after_id[]"), "0a")
    )
    yield from ((method, PATH, login) for method in METHODS)
    forged = ("", "Bearer", "Bearer at_x", f"Bearer {key}x", f"Basic {key}", "Bearer " + "a" * 3000, "Bearer \x01")
    yield from (("GET", PATH, {"Authorization": value}) for value in forged)
    yield from (("GET", PATH, {**login, "Host": host}) for host in ("evil.example", "", "a b"))


def fuzz_stream(url: str, key: str) -> Figures:
    """Ask all of it."""
    figures = Figures()
    for method, path, headers in requests(key):
        status, problem = _asked(url, method, path, headers)
        figures.by_operation["GET /api/events/stream"] += 1
        figures.by_status[status] += 1
        if problem:
            shown = {name: value for name, value in headers.items() if name != "Authorization"}
            figures.failures[f"{method} {path[:80]} {shown} · {status}"] = problem
    return figures


def _asked(url: str, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """The status, and what is wrong with the answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value.encode())
        connection.endheaders()
        answer = connection.getresponse()
        if answer.status not in EXPECTED:
            return answer.status, f"answered {answer.status}"
        if answer.status == 200 or method == "HEAD":
            return answer.status, ""
        return answer.status, _wrong(answer)
    except (http.client.HTTPException, ValueError) as error:
        return 0, "" if isinstance(error, ValueError) else repr(error)
    finally:
        connection.close()


def _wrong(answer: http.client.HTTPResponse) -> str:
    body = answer.read()
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        return "" if answer.status == 400 else f"no JSON: {body[:200]!r}"  # the server itself refuses a broken request
    code = json.loads(body)["error"]["code"]
    return "" if code in known_codes() else f"{code} is not in docs/errors.md"
