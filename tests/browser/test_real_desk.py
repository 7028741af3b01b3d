"""The desk as `manage.py up` runs it, looked at in a real Chromium: work, words, the kill switch, and what fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.real import PATIENCE, PHONE, Real, Viewer, running
from tests.browser.real_seed import APPROVER
from tests.support import eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
AMOUNT = re.compile(r"\d\.\d\d\b")
COMES_BACK = 120.0  # seconds for a process that was killed to be started again and to be seen, on a busy machine
CYCLE = "SELECT state FROM trading_cycle WHERE id = ?"
# The events of a cycle and of its executions, and those of everything.
TOLD = """SELECT seq FROM audit_event AS event, trading_cycle AS cycle WHERE cycle.id = ?
  AND (event.correlation_id = cycle.correlation_id OR event.correlation_id LIKE cycle.correlation_id || '.%')
  ORDER BY seq DESC"""
NEWEST = "SELECT seq FROM audit_event ORDER BY seq DESC LIMIT ?"
ENTRIES = """SELECT state FROM trading_order, trading_strategy AS strategy
  WHERE strategy.id = strategy_id AND strategy.name = ? AND role = 'entry'"""


@pytest.fixture(scope="module")
def desk(browser: Any) -> Iterator[Real]:
    with running(browser) as real:
        yield real


@pytest.fixture
def real(desk: Real) -> Iterator[Real]:
    """The desk for one test, ready for orders; after it no window may have had a fault."""
    eventually(lambda: desk.processes.ask("/health")[1]["broker"] == "ready", COMES_BACK, every=0.2)
    yield desk
    desk.model.go_on()
    assert desk.close_windows() == []


def run_cycle(viewer: Viewer, strategy: str) -> int:
    """Press the button on the strategy's page; the number of the cycle to whose page it leads."""
    viewer.open("/strategies/")
    viewer.page.get_by_role("link", name=strategy, exact=True).click()
    viewer.page.get_by_role("button", name="Run now").click()
    viewer.page.wait_for_url("**/cycles/*/")
    viewer.badge("live")
    return int(viewer.page.url.rstrip("/").rpartition("/")[2])


def seqs(real: Real, query: str, value: int) -> list[int]:
    return [seq for (seq,) in real.processes.rows(query, value)]


def mark(viewer: Viewer) -> None:
    """A note that a reload would take away."""
    viewer.page.evaluate("window.kept = true")


def was_never_reloaded(viewer: Viewer) -> bool:
    return bool(viewer.page.evaluate("window.kept === true"))


def test_a_cycle_moves_on_its_page_and_on_the_desk(real: Real) -> None:
    watcher, viewer = real.viewer(), real.viewer()
    real.model.hold()
    number = run_cycle(viewer, "works")
    for window in (watcher, viewer):
        mark(window)
    viewer.sees("step 4 of 8: ai analyze", "#cycle-now")
    viewer.sees("Step fetch_data done on SPY", "#cycle-feed")
    viewer.sees("none yet", "#cycle-now tbody")
    watcher.sees("0 of 1", "#desk-cycles tbody tr")
    real.model.go_on()
    viewer.sees("ended with step 8 of 8: place order", "#cycle-now")
    viewer.sees("DONE", "#cycle-now h2")
    row = viewer.sees("BUY", "#cycle-now tbody tr").inner_text()
    assert all(word in row for word in ("ordered", "Entry", "Stop", "Target"))
    # A list of events is never polled: each line came by the feed, and each event came.
    told = eventually(lambda: shown if (shown := viewer.shown_seqs("#cycle-feed")) == seqs(real, TOLD, number) else [])
    assert len(set(viewer.seqs) & set(told)) > 10
    watcher.sees("Bought", "#desk-events")
    watcher.sees("SPY", "#desk-positions tbody")
    watcher.sees("SELL", "#desk-orders tbody")
    watcher.sees("1 of 1", "#desk-cycles tbody tr")
    assert all(map(was_never_reloaded, (watcher, viewer)))


def test_an_order_is_approved_on_a_phone(real: Real) -> None:
    phone = real.viewer(APPROVER, "/approvals/", **PHONE)
    phone.sees("No order waits for a person", "#approvals")
    run_cycle(real.viewer(), "asks")
    phone.sees("AAPL", "#approvals tbody").get_by_role("link").tap()
    phone.page.wait_for_url("**/approvals/*/")
    phone.says(r"BUY\s+\d+ AAPL\s+up to [\d,]+\.\d\d.*PENDING", "#headline")
    phone.says(r"Initial margin\s.*\d\.\d\d.*Commission\s.*\d\.\d\d", "#what-if")
    phone.says(r"Time left\s+\d+ s.*Market now\s+[\d,]+\.\d\d", "#approval-now")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    left = eventually(lambda: time_left(phone), PATIENCE)
    eventually(lambda: 0 < time_left(phone) < left, PATIENCE)
    # The same in a second tab, up to the last question.
    other = real.viewer(APPROVER, phone.page.url.removeprefix(phone.base), **PHONE)
    for tab in (other, phone):
        tab.page.get_by_role("button", name="Approve…").tap()
    yes = "Yes, approve it"
    phone.page.get_by_role("button", name=yes).tap()
    phone.was_told("Your word is kept: the approval is APPROVED.")
    phone.sees("USED", "#headline")
    phone.says(r"Sending\s+DONE\s+ordered", "#approval-now")
    other.page.get_by_role("button", name=yes).tap()
    other.sees("APPROVAL_USED", ".web-message")
    assert other.page.get_by_role("button", name="Approve…").count() == 0
    assert len(real.processes.rows(ENTRIES, "asks")) == 1


def time_left(viewer: Viewer) -> int:
    """The seconds that the page gives; 0 where it gives none at this moment."""
    found = re.search(r"Time left\s+(\d+) s", viewer.text("#approval-now"), re.IGNORECASE)
    return int(found[1]) if found else 0


def test_trading_is_halted_and_released(real: Real) -> None:
    person, watcher, second = real.viewer(), real.viewer(APPROVER), real.viewer(path="/halt/")
    for window in (watcher, second):
        mark(window)
    watcher.sees("Trading is ACTIVE", "#desk-halt")
    body = order_of(real)
    assert real.processes.answer("/api/orders/preview", body)[1]["allowed"]
    person.page.locator("#desk-halt").get_by_role("link", name="Halt…").click()
    person.page.fill("#reason", "the prices are wrong")
    person.page.get_by_role("button", name="Halt trading now").click()
    person.sees("Trading is HALTED", ".web-message")
    watcher.sees("Trading is HALTED", "#desk-halt")
    watcher.sees("By anna: the prices are wrong", "#banner")
    watcher.sees("Trading halted by anna: the prices are wrong", "#desk-events")
    assert watcher.page.get_by_role("link", name="Release…").count() == 0
    second.sees("Trading is HALTED", "#halt-now")
    second.page.get_by_role("button", name="Release trading").wait_for()
    status, told = real.processes.answer("/api/orders/place", body, key="while-halted")
    assert (status, told["error"]["code"]) == (403, "HALTED")
    person.page.fill("#why", "the prices are right again")
    person.page.get_by_role("button", name="Release trading").click()
    person.sees("Trading is ACTIVE", ".web-message")
    watcher.sees("Trading is ACTIVE", "#desk-halt")
    watcher.loses("#banner .web-banner")
    watcher.sees("Trading released by anna: the prices are right again", "#desk-events")
    second.sees("Trading is ACTIVE", "#halt-now")
    second.loses("#halt-release form")
    assert real.processes.answer("/api/orders/preview", body)[1]["allowed"]
    assert all(map(was_never_reloaded, (watcher, second)))


def order_of(real: Real) -> dict[str, Any]:
    """An entry far enough below the market to stay there."""
    status, quote = real.processes.answer("/api/market/quote?symbol=MSFT")
    assert status == 200, quote
    price = float(quote["bid"])
    legs = {"limit_price": 0.99, "stop_price": 0.95, "target_price": 1.12}
    terms = {name: f"{price * factor:.2f}" for name, factor in legs.items()}
    return {"symbol": "MSFT", "side": "BUY", "quantity": "5", "order_type": "LMT", "purpose": "entry", **terms}


def test_the_gateway_is_lost_and_comes_back(real: Real) -> None:
    watcher, portfolio = real.viewer(), real.viewer(path="/portfolio/")
    places = ((watcher, "#desk-account"), (portfolio, "#account"))
    for window, place in places:
        mark(window)
        window.sees("live", f"{place} .web-live")
        eventually(lambda: AMOUNT.search(window.text(place)), PATIENCE)  # noqa: B023 - asked within this round
    with real.processes.frozen():
        real.processes.kill("gateway")
        watcher.sees("Live data unavailable", "#banner")
        portfolio.sees("Live data unavailable", "#banner")
        portfolio.sees("Live numbers: unavailable", "#account")
        for panel in ("#desk-account", "#desk-positions", "#desk-orders"):
            watcher.sees("Live data unavailable:", panel)
            assert not AMOUNT.search(watcher.text(panel)), watcher.text(panel)
            assert watcher.page.locator(f"{panel} table, {panel} .web-tiles, {panel} .web-live").count() == 0
        assert not AMOUNT.search(portfolio.text("#account"))
        assert portfolio.page.locator("#portfolio .web-live").count() == 0
        status, told = real.processes.ask("/api/orders/place", order_or_nothing(), key="without-a-broker")
        assert (status, told["error"]["code"]) == (503, "BROKER_UNAVAILABLE")
    for window, place in places:
        window.loses("#banner .web-banner", seconds=COMES_BACK)
        window.sees("live", f"{place} .web-live")
        eventually(lambda: AMOUNT.search(window.text(place)), PATIENCE)  # noqa: B023 - asked within this round
        assert was_never_reloaded(window)


def order_or_nothing() -> dict[str, Any]:
    terms = {"limit_price": "99", "stop_price": "95", "target_price": "112"}
    return {"symbol": "MSFT", "side": "BUY", "quantity": "5", "order_type": "LMT", "purpose": "entry", **terms}


def test_the_web_is_lost_and_no_event_with_it(real: Real) -> None:
    watcher, runner = real.viewer(), real.viewer()
    mark(watcher)
    real.model.hold()
    number = run_cycle(runner, "goes on")
    runner.sees("step 4 of 8: ai analyze", "#cycle-now")
    watcher.sees("Step fetch_data done on IBM", "#desk-events")
    with watcher.outage(COMES_BACK), runner.outage(COMES_BACK), real.processes.frozen():
        real.processes.kill("web")
        watcher.sees("stream error", "#feed")
        before = watcher.shown_seqs("#desk-events")
        real.model.go_on()
        eventually(lambda: real.processes.rows(CYCLE, number) == [("DONE",)])
        watcher.badge("stream error: polling")
        watcher.page.locator("#desk-account[data-stale^='Out of date since']").wait_for()
        assert watcher.shown_seqs("#desk-events") == before
    runner.sees("DONE", "#cycle-now h2")
    watcher.sees("Bought", "#desk-events")
    shown = eventually(lambda: complete(real, watcher.shown_seqs("#desk-events")))
    assert len(shown) > len(before)
    assert set(seqs(real, TOLD, number)) <= set(shown)
    assert len(watcher.seqs) == len(set(watcher.seqs)), "each came once, also over two sockets"
    watcher.loses("[data-stale]")
    watcher.loses("#banner .web-banner")
    assert was_never_reloaded(watcher)


def complete(real: Real, shown: list[int]) -> list[int]:
    """The same, where these are the newest events of the log, each once and the newest first; else nothing."""
    return shown if shown == seqs(real, NEWEST, len(shown)) else []


def test_the_worker_is_lost_and_work_waits(real: Real) -> None:
    watcher, runner = real.viewer(), real.viewer()
    with real.processes.frozen():
        real.processes.kill("work")
        watcher.sees("The process work is not running.", "#banner")
        number = run_cycle(runner, "waits")
        for window in (watcher, runner):
            mark(window)
        runner.sees("QUEUED", "#cycle-now h2")
        runner.sees("waits for a worker; 8 steps", "#cycle-now")
        watcher.sees("0 of 1", "#desk-cycles tbody tr")
        assert real.processes.rows(CYCLE, number) == [("QUEUED",)]
    runner.sees("DONE", "#cycle-now h2", seconds=COMES_BACK)
    assert "ordered" in runner.text("#cycle-now tbody")
    watcher.loses("#banner .web-banner")
    watcher.sees("MSFT", "#desk-positions tbody")
    assert all(map(was_never_reloaded, (watcher, runner)))
