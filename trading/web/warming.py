"""What the first page and the first fill of a process would have to wait for, done once when it starts."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest

from autotrader.core.users.models import User
from trading.web.desk import desk_page
from trading.web.line_kinds import POKES
from trading.web.lines import learn_names, line_of

logger = logging.getLogger(__name__)


def warm_up() -> None:
    """Read templates, and what models and types find out about themselves at their first use. In a thread of its own.

    Never raises. What is away, the database or the broker, is left to the first who asks for it.
    """
    try:
        for step in (learn_names, _lines, _rows, _desk):
            _tried(step.__name__, step)
    finally:
        connection.close()


def _tried(name: str, step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:  # whatever it is, a page tells it to who asks for one
        logger.info("not ready for the first page, %s: %r", name, error)


def _lines() -> None:
    """A line of each type; they are made on the loop, where reading a template would hold up everybody."""
    for kind in POKES:
        line_of({"type": kind})


def _rows() -> None:
    """No row, as the rows of a fill are asked for."""
    for row_list in line_of.lists.values():
        row_list.make(["0"], ())


def _desk() -> None:
    """The Desk as it is shown to somebody who may see all of it. Nobody is: what comes of it is thrown away."""
    request = HttpRequest()
    request.method = "GET"
    request.user = User(is_staff=True, is_superuser=True)
    desk_page(request)
