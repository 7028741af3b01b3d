"""The admin in a real Chromium: what a person sees and presses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.urls import reverse

from autotrader.core.audit.models import Event
from broker.gates import HaltState, halt_state
from tests.browser.conftest import Visitor
from tests.trading_admin.story import Told, tell
from trading.models import Cycle, Decision, Strategy

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Where pictures of the pages go when somebody wants to look at them; else the test's own folder.
PICTURES = os.environ.get("SCREENSHOTS")
STORY = ("headline", "numbers", "charts", "analyses", "verdicts", "orders", "fills", "trades", "steps", "events")


def decision_path(decision: Decision) -> str:
    return reverse("admin:trading_decision_change", args=[decision.pk])


def strategy_path() -> str:
    return reverse("admin:trading_strategy_change", args=[Strategy.objects.get().pk])


def test_the_index_after_logging_in(visitor: Visitor, bought: Told) -> None:
    page = visitor.page
    assert page.locator("#halt").inner_text().startswith("Trading is ACTIVE")
    page.locator("#decisions").get_by_role("link", name="BUY AAPL").click()
    page.wait_for_url(f"**{decision_path(bought.decision)}")


def test_the_decision_page_tells_its_story_in_order(visitor: Visitor, bought: Told) -> None:
    page = visitor.open(decision_path(bought.decision))
    tops = [page.locator(f"#{part}").bounding_box()["y"] for part in STORY]
    assert tops == sorted(tops)
    drawn = page.eval_on_selector_all(".desk-chart", "images => images.map(image => image.naturalWidth)")
    assert drawn == [1280, 1280]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert page.locator("#orders").get_by_role("link", name=bought.orders[0].order_ref).is_visible()


@pytest.mark.parametrize("kind", ["hold", "refused"])
def test_a_decision_without_an_order(visitor: Visitor, bought: Told, kind: str) -> None:
    told = tell(kind, "SPY")
    page = visitor.open(decision_path(told.decision))
    assert "No order" in page.locator("#orders").inner_text()


def test_running_a_cycle_from_the_strategy(visitor: Visitor, bought: Told) -> None:
    page = visitor.open(strategy_path())
    page.get_by_role("button", name="Run cycle now").click()
    page.wait_for_url("**/admin/trading/cycle/*/change/")
    cycle = Cycle.objects.latest("pk")
    assert cycle.requested_by == "anna"
    assert f"Cycle {cycle.pk} is queued" in page.inner_text("body")
    assert page.locator("#executions tbody tr").count() == 3


def test_changing_a_strategy(visitor: Visitor, bought: Told) -> None:
    page = visitor.open(strategy_path())
    page.fill("[name=priority]", "5")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/trading/strategy/")
    strategy = Strategy.objects.get()
    assert (strategy.priority, strategy.version, strategy.instruments.count()) == (5, 2, 3)


def test_halting_and_releasing(visitor: Visitor, bought: Told) -> None:
    page = visitor.page
    page.get_by_role("link", name="Halt…").click()
    page.fill("[name=reason]", "the feed is wrong")
    page.get_by_role("button", name="Halt trading").click()
    page.wait_for_url("**/admin/")
    assert "Trading is HALTED" in page.locator("#halt").inner_text()
    assert halt_state() is HaltState.HALTED
    page.get_by_role("link", name="Release…").click()
    page.fill("[name=reason]", "the feed is right again")
    page.get_by_role("button", name="Release").click()
    page.wait_for_url("**/admin/")
    assert "Trading is ACTIVE" in page.locator("#halt").inner_text()
    assert list(Event.objects.filter(type="HALT_CHANGED").values_list("actor", flat=True)) == ["anna", "anna"]


def test_pages_hold_at_every_width_and_in_the_dark(visitor: Visitor, bought: Told, tmp_path: Path) -> None:
    page = visitor.page
    page.emulate_media(color_scheme="dark")
    for width in (390, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for path in ("/admin/", decision_path(bought.decision), "/admin/trading/order/", strategy_path()):
            visitor.open(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_the_index_cuts_no_column_off(visitor: Visitor, bought: Told) -> None:
    Cycle.objects.update(trigger="command")
    page = visitor.page
    for width in (1280, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        visitor.open("/admin/")
        hidden = ".desk-columns .desk-scroll", "all => all.map(box => box.scrollWidth - box.clientWidth)"
        assert page.eval_on_selector_all(*hidden) == [0, 0], width


def test_an_actor_stands_on_one_line(visitor: Visitor, bought: Told) -> None:
    visitor.page.set_viewport_size({"width": 1280, "height": 900})
    page = visitor.open(decision_path(bought.decision))
    actors = "#events tbody td:nth-child(6)", "cells => cells.map(cell => getComputedStyle(cell).whiteSpace)"
    assert set(page.eval_on_selector_all(*actors)) == {"nowrap"}


def test_pictures_of_the_pages(visitor: Visitor, bought: Told, tmp_path: Path) -> None:
    tell("refused", "SPY")
    tell("hold", "IBM")
    folder = Path(PICTURES or tmp_path)
    paths = {
        "index": "/admin/",
        "strategies": "/admin/trading/strategy/",
        "strategy": strategy_path(),
        "decision": decision_path(bought.decision),
    }
    for name, path in paths.items():
        visitor.open(path).screenshot(path=folder / f"{name}.png", full_page=name in {"index", "decision"})
        assert (folder / f"{name}.png").stat().st_size > 20_000
