"""The charts of a decision in a real Chromium: drawn from its data, moved by keys and buttons, and on a phone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from autotrader.core.users.models import User
from tests.browser.conftest import Visitor
from tests.support import eventually
from tests.trading_admin.story import Told, tell

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PICTURES = os.environ.get("SCREENSHOTS")
# How many different colours the canvases of the chart in sight show; one that was never drawn shows one.
COLOURS = """box => {
  const seen = new Set();
  for (const canvas of box.querySelectorAll("canvas")) {
    const { width, height } = canvas;
    if (!width || !height) continue;
    const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    for (let at = 0; at < data.length; at += 4) seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
  }
  return seen.size;
}"""
BACKGROUND = """box => [...box.querySelector("canvas").getContext("2d").getImageData(2, 2, 1, 1).data].slice(0, 3)"""


@pytest.fixture
def bought(visitor: Visitor) -> Told:
    """A buy that was ordered and filled, seen by somebody who may see decisions and orders, without the live feed."""
    told = tell("buy")
    user = User.objects.create_user("reader", password="x")
    user.user_permissions.add(*Permission.objects.filter(codename__in=("view_decision", "view_order")))
    client = Client()
    client.force_login(user)
    cookie = client.cookies["sessionid"].value
    visitor.page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": visitor.base}])
    return told


def shown(visitor: Visitor, told: Told) -> Any:
    """The page with its first chart drawn; the panel in sight."""
    page = visitor.open(reverse("decision", args=[told.decision.pk]))
    page.wait_for_selector("[data-chart][data-drawn]:not([hidden])")
    return page.locator("[data-chart]:not([hidden])")


def painted(visitor: Visitor) -> None:
    """Wait until the chart shows what it was told: a key moves it from there."""
    visitor.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def picture(visitor: Visitor, tmp_path: Path, name: str) -> None:
    visitor.page.screenshot(path=str(Path(PICTURES or tmp_path) / f"decision-{name}.png"), full_page=True)


def test_the_chart_is_drawn_from_the_bars(visitor: Visitor, bought: Told, tmp_path: Path) -> None:
    panel = shown(visitor, bought)
    assert panel.get_attribute("data-drawn") == "504"
    eventually(lambda: panel.locator(".web-chart").evaluate(COLOURS) > 20)
    legend = panel.locator("p.desk-mono").inner_text()
    for words in ("2020-07-20", "SMA 50", "SuperTrend 10/3", "RSI 14", "MACD 12/26"):
        assert words in legend, words
    label = panel.locator(".web-chart").get_attribute("aria-label")
    assert label.startswith("Chart of AAPL, 1 day bars over 2 Y")
    assert "stop" in label
    assert visitor.page.get_by_role("link", name="TradingView").get_attribute("href") == "https://www.tradingview.com/"
    picture(visitor, tmp_path, "1440")


def test_each_timeframe_has_a_tab(visitor: Visitor, bought: Told) -> None:
    shown(visitor, bought)
    page = visitor.page
    page.get_by_role("tab", name="1 week").click()
    page.wait_for_selector("[data-chart][data-drawn='260']:not([hidden])")
    assert page.locator("[data-chart]:not([hidden])").count() == 1
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("tab", name="1 day").get_attribute("aria-selected") == "true"


def test_buttons_and_keys_move_it(visitor: Visitor, bought: Told) -> None:
    panel = shown(visitor, bought)

    def width() -> float:
        return float(panel.get_attribute("data-to")) - float(panel.get_attribute("data-from"))

    panel.get_by_role("button", name="Last 60").click()
    assert 60 <= width() <= 80
    panel.get_by_role("button", name="All").click()
    assert width() > 500
    panel.get_by_role("button", name="Fit").click()
    assert 260 <= width() <= 300
    before, box = float(panel.get_attribute("data-from")), panel.locator(".web-chart")
    painted(visitor)
    box.press("ArrowLeft")
    assert float(panel.get_attribute("data-from")) < before
    painted(visitor)
    box.press("+")
    assert width() < 270


def test_it_takes_the_colours_of_the_page(visitor: Visitor, bought: Told, tmp_path: Path) -> None:
    visitor.page.emulate_media(color_scheme="light")
    box = shown(visitor, bought).locator(".web-chart")
    eventually(lambda: min(box.evaluate(BACKGROUND)) > 200)
    visitor.page.locator("[data-theme-toggle]").click()
    visitor.page.wait_for_function(f"box => Math.max(...({BACKGROUND})(box)) < 80", arg=box.element_handle())
    picture(visitor, tmp_path, "dark")


def test_it_fits_a_phone(visitor: Visitor, bought: Told, tmp_path: Path) -> None:
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    panel = shown(visitor, bought)
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert panel.locator(".web-chart").bounding_box()["width"] > 300
    assert float(panel.get_attribute("data-to")) - float(panel.get_attribute("data-from")) < 110
    picture(visitor, tmp_path, "390")
    visitor.open(reverse("decisions"))
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390
    picture(visitor, tmp_path, "list-390")


def test_a_chart_that_does_not_come_leaves_the_picture(visitor: Visitor, bought: Told) -> None:
    page = visitor.page
    page.route("**/bars/*.json", lambda route: route.fulfill(status=503, body="away"))
    page.goto(visitor.base + reverse("decision", args=[bought.decision.pk]))
    page.wait_for_selector("#charts img.desk-chart")
    assert "could not be loaded (503)" in page.inner_text("#charts")
    visitor.faults[:] = [fault for fault in visitor.faults if "503" not in fault]


def test_what_comes_of_it_later_is_drawn_too(visitor: Visitor, bought: Told) -> None:
    panel = shown(visitor, bought)
    page, told = visitor.page, panel.evaluate("panel => panel.dataset.drawn")
    with page.expect_request(lambda asked: "/bars/" in asked.url):
        page.evaluate("htmx.trigger('#outcome', 'poke')")
    page.wait_for_selector("#outcome #orders")
    assert panel.get_attribute("data-drawn") == told
