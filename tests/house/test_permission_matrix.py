"""Every address asks who comes, and lets through exactly whom the reviewed tables name."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from autotrader.core.rest.throttling import CALLS
from autotrader.core.users.models import User
from tests import database
from tests.house import matrix, permissions_page
from tests.house.actors import COLUMNS, Actor, actors
from tests.house.matrix import METHOD, NO, YES, Matrix, Table, of
from tests.house.routes import METHODS, Route, routes
from tests.house.world import build

pytestmark = [
    pytest.mark.django_db,
    # Rights do not depend on the database; once is enough.
    pytest.mark.once,
    pytest.mark.timeout(600),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of refusals, each of which would be a line in the log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def state(settings: Any, tmp_path: Path) -> None:
    """A folder of its own: some of these requests halt the desk."""
    settings.AUTOTRADER_STATE_DIR = tmp_path


UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
KINDS = ("anonymous", "administrator", "disabled administrator", "key of an administrator, admin")
# A picture is drawn when it is first looked at, and kept.
DRAWN = {"artifacts_artifact", "trading_analysis"}
# Written beside a request: when a key or a person was seen last.
SEEN = {"django_session", "users_user", "users_apikey"}


def is_default(route: Route) -> bool:
    """A page that every table of the admin has."""
    usual = ("_changelist", "_add", "_history", "_delete", "_change", ":jsi18n", ":autocomplete", ":search")
    return route.name.endswith(usual) or not route.name


def test_every_route_has_its_row_and_every_row_its_route() -> None:
    there = {route.pattern for route in routes()}
    reviewed = {pattern for area in matrix.AREAS for pattern in matrix.read(area)}
    assert sorted(there - reviewed) == [], "python -m tests.house.matrix --all --write adds the rows; then review them"
    assert sorted(reviewed - there) == [], "no such route any more"


@pytest.mark.parametrize("area", ["api", "pages"])
def test_an_area_lets_in_whom_its_table_names(area: str) -> None:
    """Everybody by every method that there is; by HEAD and the others one of each kind. `make permissions` asks all."""
    asked, reviewed = Matrix(), matrix.read(area)
    questions = [
        (actor, method, route)
        for route in of(area)
        for method in METHODS
        for index, actor in enumerate(asked.actors)
        if actor.title in KINDS or (method != "HEAD" and {YES, NO} & set(reviewed[route.pattern][method]))
    ]
    assert wrong(asked, reviewed, questions) == []


@pytest.mark.django_db(transaction=True)
def test_the_event_stream_lets_in_whom_its_table_names() -> None:
    found = matrix.stream_table(actors(1))
    assert not (said := matrix.difference(matrix.read("stream"), found)), said


def test_the_admin_lets_in_whom_its_table_names() -> None:
    """Everybody at what only this desk has, a viewer's writing everywhere; `make permissions` asks all."""
    asked, reviewed = Matrix(), matrix.read("admin")
    people = [actor for actor in asked.actors if not actor.headers]
    writes = ("_add", "_change", "_delete")
    questions = [
        (actor, "POST", route)
        for route in of("admin")
        for actor in people
        if not is_default(route) or (actor.title == "viewer" and route.name.endswith(writes))
    ]
    assert wrong(asked, reviewed, questions) == []


def wrong(asked: Matrix, reviewed: Table, questions: list[tuple[Actor, str, Route]]) -> list[str]:
    """Each answer that is not the reviewed one."""
    found = []
    for actor, method, route in questions:
        expected = reviewed[route.pattern][method][asked.actors.index(actor)]
        if (word := asked.word(actor, route, method)) != expected:
            found.append(f"{actor.title}: {method} {route.pattern}: {word}, reviewed: {expected}")
    return found


def test_what_answers_without_login_is_the_reviewed_list() -> None:
    lines = matrix.OPEN.read_text().splitlines()
    reviewed = [line.partition("#")[0].rstrip() for line in lines if line and not line.startswith("#")]
    assert matrix.opened({area: matrix.read(area) for area in matrix.AREAS}).splitlines() == reviewed


def test_what_no_table_may_say() -> None:
    """Whoever reviews them: the disabled and the expired do nothing, and a viewer writes nothing."""
    column = {title: index for index, title in enumerate(COLUMNS)}
    outside = ("disabled administrator", "expired key of an administrator, every scope")
    for pattern, method, row in rows():
        assert matrix.BROKEN not in row, (pattern, method)
        if row[0] == YES or pattern in matrix.ENDS_SESSION:
            continue
        assert all(row[column[title]] != YES for title in outside), (pattern, method)
        if method in UNSAFE and not pattern.startswith("/admin/"):
            for title in ("person without a role", "viewer", "key of a viewer, every scope"):
                assert row[column[title]] != YES, (pattern, method)


def rows() -> list[tuple[str, str, matrix.Row]]:
    tables: list[Table] = [matrix.read(area) for area in matrix.AREAS]
    return [
        (pattern, method, row) for table in tables for pattern, found in table.items() for method, row in found.items()
    ]


FILES = ("orders_csv", "trades_csv")


def test_no_get_changes_anything() -> None:
    world = build()
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("boss", password=None))
    before = rest()
    for route in routes():
        if is_default(route) and not route.name.endswith("_changelist"):
            continue  # Django's own, which only read
        if route.name in FILES:
            continue  # it changes nothing either, but who takes a list as a file is on record
        CALLS.clear()
        answer: Any = client.get(route.address(world.values(route)))
        assert answer.status_code < 500 or answer.status_code == 503, route
    now = rest()
    assert [table for table in now.keys() | before if now.get(table) != before.get(table)] == []


def rest() -> dict[str, Any]:
    """Every table but those in which a look may leave a trace."""
    return {table: found for table, found in database.copied().items() if table not in DRAWN | SEEN}


def test_a_session_writes_nothing_without_its_token() -> None:
    world = build()
    boss = User.objects.create_superuser("boss", password=None)
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    let_through = []
    for route in routes():
        if is_default(route) and route.pattern.startswith("/admin/"):
            continue  # one middleware guards them all
        client.force_login(boss)
        for method in UNSAFE[:1] if route.pattern.startswith("/admin/") else UNSAFE:
            CALLS.clear()
            body = json.dumps({})
            answer: Any = client.generic(method, route.address(world.values(route)), body, "application/json")
            if answer.status_code not in (403, 404, 405):
                let_through.append((method, route.pattern, answer.status_code))
    assert let_through == []


def test_the_page_of_the_roles_is_current() -> None:
    page = permissions_page.PAGE.read_text()
    assert page == permissions_page.rendered(page), "run python -m tests.house.permissions_page"
    assert permissions_page.LIST.read_text() == permissions_page.listed(), "run python -m tests.house.permissions_page"


def test_no_right_is_without_a_role() -> None:
    given = set().union(*permissions_page.roles().values())
    assert permissions_page.ours() - given == set()


@pytest.mark.parametrize("method", METHODS)
def test_a_route_is_read_as_it_is_written(method: str) -> None:
    table: Table = {"/api/x/<pk>": {method: ("yes", METHOD)}, "/api/y": dict.fromkeys(METHODS, (NO, YES))}
    assert matrix.parsed(matrix.rendered(table)) == table
