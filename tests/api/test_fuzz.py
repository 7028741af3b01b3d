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
from tests.desk.conftest import Desk, bars_folder, build_strategy, open_desk
from tests.desk.conftest import desk as desk
from tests.fuzz.running import fuzz

__all__ = ["bars_folder", "desk", "open_desk"]
SECONDS = 10
once = pytest.mark.skipif(
    "postgresql" in settings.DATABASES["default"]["ENGINE"], reason="the requests are the same on every database"
)


@once
@pytest.mark.timeout(120)
def test_no_generated_request_fails_inside_or_is_answered_as_nowhere_documented(desk: Desk) -> None:
    desk.run(build_strategy("demo", ["RISE"]))
    boss = User.objects.create_superuser("boss", password="x")
    scopes = ("read", "trade", "halt", "admin")
    terms = Terms("fuzz", scopes, system_now() + timedelta(days=1), requests_per_minute=60_000)
    _, key = key_create(terms, user=boss, actor="test")
    figures = fuzz(document(), key, examples=2, seconds=SECONDS, app=get_wsgi_application())
    assert figures.ok, "\n\n".join([*figures.failures, *figures.errors])
    assert figures.cases > 200
