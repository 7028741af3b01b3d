"""Before the first page is asked for: nothing is left to it, and nothing that is away stops the process."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.template import Engine
from django.template.base import Template

from tests.web.test_desk import VIEWER, Tell, person, position, told
from tests.web.test_desk import tell as tell
from trading.web import lines
from trading.web.line_kinds import POKES
from trading.web.warming import warm_up


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the templates that are read from now on; none is known yet."""
    names: list[str] = []
    compiled = Template.compile_nodelist

    def counted(template: Template) -> Any:
        names.append(str(template.name))
        return compiled(template)

    monkeypatch.setattr(Template, "compile_nodelist", counted)
    for loader in Engine.get_default().template_loaders:
        loader.reset()
    lines._template.cache_clear()
    return names


@pytest.mark.django_db(transaction=True)
def test_the_first_page_and_the_first_lines_read_no_template_any_more(read: list[str], tell: Tell) -> None:
    tell(told(position()))
    thread = threading.Thread(target=warm_up)
    thread.start()
    thread.join()
    assert {"web/desk/desk.html", "web/orders/_body.html", "web/trades/_body.html"} <= set(read)
    client = person(*VIEWER)
    read.clear()
    assert client.get("/desk/").status_code == 200
    for kind in POKES:
        lines.line_of({"type": kind})
    assert read == []


def test_a_database_that_is_away_stops_nothing(read: list[str]) -> None:
    warm_up()
    assert "web/lines/FILL_BOOKED.html" in read
