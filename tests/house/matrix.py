"""Who may do what at which address: asked of the running site and compared with the reviewed tables.

`python -m tests.house.matrix --all` asks everybody everything (also `make permissions`); `--write` keeps the answers in
tests/house/permissions/ for review.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import logging
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.house.routes import METHODS, Route, routes

if TYPE_CHECKING:
    from tests.house.actors import Actor

FOLDER = Path(__file__).parent / "permissions"
OPEN = FOLDER / "open.txt"
YES, NO, LOGIN, METHOD, BROKEN = "yes", "no", "login", "405", "5xx"
LOGIN_PAGES = ("/login/", "/admin/login/")
ENDS_SESSION = ("/logout/", "/admin/logout/")
AREAS = ("api", "stream", "pages", "admin")
# Where an empty body would be refused before anybody asks who sends it.
BODIES: dict[str, dict[str, Any]] = {
    "/api/cycles": {"strategies": ["demo"]},
    "/api/halt/release": {"reason": "asked by the matrix", "seen": "0."},
}
WIDTH, MARGIN = 7, 44
Row = tuple[str, ...]  # one word for each column
Table = dict[str, dict[str, Row]]  # pattern → method → row

HEAD = """\
# Who may do what, asked of the running site; a change here is a change of rights and is reviewed as such.
# yes: the request was let through, whatever became of it then; no: refused (403); login: who are you? (401, login
# page); 405: no such method there. No broker is there: where a key's limits are judged on what the broker tells (live,
# orders), the request is let through to its 503 here, and tests/api has the rest.
# After a change: python -m tests.house.matrix --all --write
"""


def area_of(route: Route) -> str:
    """The file in which an address stands."""
    if route.name == "raw":
        return "stream"
    if route.pattern.startswith("/admin/"):
        return "admin"
    return "api" if route.pattern.startswith("/api/") else "pages"


def of(area: str) -> list[Route]:
    """The addresses of one file."""
    return [route for route in routes() if area_of(route) == area]


def word_of(answer: Any) -> str:
    """What the access layer said; "5xx" for an answer that no table may hold."""
    if answer.status_code == 401:
        return LOGIN
    if answer.status_code in (301, 302) and answer.headers["Location"].partition("?")[0] in LOGIN_PAGES:
        return LOGIN
    if answer.status_code == 403:
        return NO
    if answer.status_code == 405:
        return METHOD
    return YES if answer.status_code < 500 or answer.status_code == 503 else BROKEN


class Matrix:
    """The site with one of everything and everybody in it."""

    def __init__(self) -> None:
        from tests.house.actors import actors
        from tests.house.world import build

        self.world = build()
        self.actors = actors(self.world.other.pk)

    def word(self, actor: Actor, route: Route, method: str) -> str:
        """What this actor is told there."""
        address = route.address(self.world.values(route))
        body = BODIES.get(route.pattern, {})
        answer = actor.ask(method, address, body, is_json=area_of(route) == "api")
        if route.pattern in ENDS_SESSION:
            actor.login()
        return word_of(answer)

    def row(self, route: Route, method: str) -> Row:
        """What everybody is told there."""
        return tuple(self.word(actor, route, method) for actor in self.actors)

    def table(self, which: Iterable[Route], methods: Iterable[str] = METHODS) -> Table:
        """Every method of these routes."""
        return {route.pattern: {method: self.row(route, method) for method in methods} for route in which}


def stream_table(everybody: Iterable[Actor]) -> Table:
    """The event stream, which no view of Django's answers: each request on a loop, as the actor's browser sends it."""
    people = [dict(actor.shown()) for actor in everybody]
    return {route.pattern: asyncio.run(_asked_of_stream(people)) for route in of("stream")}


async def _asked_of_stream(people: list[dict[str, str]]) -> dict[str, Row]:
    from autotrader.core.rest.throttling import FAILURES
    from tests.live import calling, serving

    found: dict[str, Row] = {}
    async with serving() as app:
        for method in METHODS:
            words = []
            for headers in people:
                FAILURES.clear()
                async with calling(app, headers, method=method) as caller:
                    words.append({401: LOGIN, 403: NO, 405: METHOD}.get(caller.status, YES))
            found[method] = tuple(words)
    return found


def rendered(table: Table) -> str:
    """The table as its file has it: the methods of one row are those that answer alike."""
    from tests.house.actors import COLUMNS

    legend = [f"# {short:<{WIDTH}}{title}" for title, short in COLUMNS.items()]
    columns = "".join(f"{short:<{WIDTH}}" for short in COLUMNS.values()).rstrip()
    lines = [HEAD.rstrip("\n"), *legend]
    for pattern in sorted(table):
        lines += ["", f"{pattern:<{MARGIN - 1}} {columns}" if len(pattern) < MARGIN else pattern]
        lines += [_line(methods, row) for row, methods in _alike(table[pattern]).items()]
    return "\n".join(lines) + "\n"


def parsed(text: str) -> Table:
    """The table of a file."""
    table: Table = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("/"):
            rows = table.setdefault(line.split()[0], {})
            continue
        words = tuple(line[MARGIN:].split())
        rows |= dict.fromkeys(line[:MARGIN].split(), words)
    return table


def read(area: str) -> Table:
    """The reviewed table; empty where there is none yet."""
    path = FOLDER / f"{area}.txt"
    return parsed(path.read_text()) if path.exists() else {}


def difference(reviewed: Table, found: Table) -> str:
    """Both as text, line by line, where they differ: "+" is what the site does and no review has seen."""
    before, after = rendered(reviewed).splitlines(), rendered(found).splitlines()
    return "\n".join(difflib.unified_diff(before, after, "reviewed", "the site", lineterm="", n=1))


def opened(tables: Mapping[str, Table]) -> str:
    """What answers without login, one line a route."""
    lines = []
    for pattern, rows in sorted((pattern, rows) for table in tables.values() for pattern, rows in table.items()):
        methods = [method for method in METHODS if method in rows and rows[method][0] == YES]
        if methods:
            lines.append(f"{pattern}  {' '.join(methods)}")
    return "\n".join(lines)


def _alike(rows: Mapping[str, Row]) -> dict[Row, list[str]]:
    found: dict[Row, list[str]] = {}
    for method in METHODS:
        if method in rows:
            found.setdefault(rows[method], []).append(method)
    return found


def _line(methods: list[str], row: Row) -> str:
    return f"    {' '.join(methods):<{MARGIN - 4}}{''.join(f'{word:<{WIDTH}}' for word in row)}".rstrip()


def main() -> int:
    """Ask, compare, and write where that is wanted; 1 where a table differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="also every page of the admin, which takes minutes")
    parser.add_argument("--only", choices=AREAS, help="one of the tables")
    parser.add_argument("--write", action="store_true", help="keep what the site does, for review")
    arguments = parser.parse_args()
    prepare()
    logging.disable(logging.CRITICAL)  # each refusal would be a line
    began = time.monotonic()
    matrix = Matrix()
    differ = False
    for area in [arguments.only] if arguments.only else AREAS if arguments.all else AREAS[:-1]:
        found = stream_table(matrix.actors) if area == "stream" else matrix.table(of(area))
        said = difference(read(area), found)
        differ |= bool(said)
        print(said or f"{area}: {len(found)} routes as reviewed")
        if arguments.write:
            (FOLDER / f"{area}.txt").write_text(rendered(found))
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if differ and not arguments.write else 0


def prepare() -> None:
    """A database of its own, as the suite makes one."""
    from tests import environment

    environment.prepare()
    import django

    django.setup()
    from django.conf import settings
    from django.test.utils import setup_databases, setup_test_environment

    environment.own_state(settings)
    setup_test_environment()
    setup_databases(verbosity=0, interactive=False)


if __name__ == "__main__":
    sys.exit(main())
