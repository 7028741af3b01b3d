"""A cut of `make fuzz`: every operation with sound and unsound requests, against a desk that works."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from autotrader.core.clock import system_now
from autotrader.core.rest.pages import document
from autotrader.core.users.keys import Terms, key_create
from autotrader.core.users.models import User
from tests.api.test_orders import price_of
from tests.desk.conftest import Desk, bars_folder, build_strategy, open_desk
from tests.desk.conftest import desk as desk
from tests.fuzz.known import known_of
from tests.fuzz.running import fuzz

__all__ = ["bars_folder", "desk", "open_desk"]
once = pytest.mark.skipif(
    "postgresql" in settings.DATABASES["default"]["ENGINE"], reason="the requests are the same on every database"
)


@once
@pytest.mark.timeout(600)
def test_no_generated_request_fails_inside_or_is_answered_as_nowhere_documented(desk: Desk) -> None:
    desk.run(build_strategy("demo", ["RISE"]))
    boss = User.objects.create_superuser("boss", password="x")
    scopes = ("read", "trade", "halt", "admin")
    terms = Terms("fuzz", scopes, system_now() + timedelta(days=1), requests_per_minute=60_000)
    _, key = key_create(terms, user=boss, actor="test")
    known = known_of(["RISE"], price_of(desk, "RISE"))
    told = document()
    figures = fuzz(told, key, examples=3, known=known, phases={"coverage": False}, app=get_wsgi_application())
    assert figures.ok, "\n\n".join([*figures.failures, *figures.errors])
    # All but the event stream, which never ends.
    assert len(figures.by_operation) == sum(map(len, told["paths"].values())) - 1
