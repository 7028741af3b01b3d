"""One person's browser without a browser: pages over one kept connection, each timed to its last byte."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, field

AWAY = 503


@dataclass
class Visitor:
    """Who is logged in by `cookie`. The connection is opened at the first request, and anew where it was closed."""

    port: int
    cookie: str
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def page(self, path: str, wanted: int = 200) -> tuple[bytes, float]:
        """The body and the ms until it was there. Raises RuntimeError for another status.

        Who is told to come again does so once, and what that takes counts: a machine that stands still for a moment
        makes the site say that its database is away.
        """
        began = time.perf_counter()
        answer, body = self._asked(path)
        if answer.status == AWAY and (wait := answer.getheader("Retry-After")):
            time.sleep(int(wait))
            answer, body = self._asked(path)
        took = (time.perf_counter() - began) * 1000
        if answer.status != wanted:
            raise RuntimeError(f"{path} answered {answer.status} {answer.getheader('Location') or body[-2000:]!r}")
        return body, took

    def _asked(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = self._connection.getresponse()
        return answer, answer.read()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
