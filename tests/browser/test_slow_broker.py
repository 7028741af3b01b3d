"""The Desk in a real Chromium while the broker takes its time: the page comes first, the numbers by themselves."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.test import Client

from autotrader.core.users.models import User
from tests.browser.conftest import Visitor
from tests.support import PATIENCE_S
from tests.web.test_desk import position, told
from trading.web import numbers
from trading.web.numbers import Told

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AT_MOST = 1000 * PATIENCE_S


def test_the_page_comes_first_and_the_numbers_by_themselves(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(numbers, "_ask", lambda: told(position()) if let_go.wait(60) else Told(problem="never"))
    monkeypatch.setattr("trading.web.desk.SOON_S", 0.01)
    page = _desk(visitor)
    asked = page.locator("#desk-positions", has_text="The broker is being asked")
    asked.wait_for(state="visible", timeout=AT_MOST)
    assert page.locator("#desk-halt").is_visible()
    assert page.locator("#main .web-unavailable").count() == 0
    let_go.set()
    for name, words in (("positions", "AAPL"), ("account", "Net liquidation"), ("orders", "No order works")):
        page.locator(f"#desk-{name}", has_text=words).wait_for(state="visible", timeout=AT_MOST)
    assert "being asked" not in page.inner_text("#main")


def _desk(visitor: Visitor) -> Any:
    client = Client()
    client.force_login(User.objects.get(username="anna"))
    cookie = client.cookies["sessionid"].value
    visitor.page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": visitor.base}])
    visitor.page.route_web_socket("**/live/**", lambda socket: None)
    visitor.page.goto(f"{visitor.base}/desk/", wait_until="domcontentloaded")
    return visitor.page
