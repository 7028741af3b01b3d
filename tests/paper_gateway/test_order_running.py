"""Order types under a running clock: what trades at once, what follows the path, and what ends at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from broker.paper_gateway import economics
from broker.paper_gateway.prices.seeded import SeededMarket
from broker.paper_gateway.universe import seeded_start

from .conftest import Desk, RunningTime

TICK = Decimal("0.01")
Running = tuple[Desk, RunningTime]


def test_what_the_book_does_not_give_at_once_is_cancelled(running: Running) -> None:
    desk, _ = running
    quote = desk.exchange.quote(desk.con_id)
    assert quote.ask is not None
    size = quote.ask_size
    desk.order(1, "BUY", size + 50, "LMT", limit_price=str(quote.ask), tif="IOC")
    desk.order(2, "BUY", 10, "LMT", limit_price=str(quote.ask - 1), tif="IOC")
    desk.order(3, "BUY", size + 1, "MKT", tif="FOK")
    desk.order(4, "BUY", size, "MKT", tif="FOK")
    ended = {view.terms.order_id: (view.status, view.filled) for view in desk.exchange.completed_orders()}
    assert ended == {1: ("Cancelled", size), 2: ("Cancelled", 0), 3: ("Cancelled", 0), 4: ("Filled", size)}
    assert desk.refusals(1) == [202]


def test_a_stop_beyond_the_market_is_touched_at_once(running: Running) -> None:
    desk, _ = running
    quote = desk.exchange.quote(desk.con_id)
    assert quote.last is not None
    desk.order(1, "BUY", 10, "STP", aux_price=str(quote.last))
    desk.order(2, "BUY", 10, "STP LMT", aux_price=str(quote.last), limit_price=str(quote.last - 1), tif="GTC")
    assert [fill.price for fill in desk.fills()] == [quote.ask]
    assert (desk.view(2).status, desk.view(2).why_held) == ("Submitted", "")


@pytest.mark.parametrize("action", ["BUY", "SELL"])
@pytest.mark.parametrize("percent", ["0.3", "1"])
def test_a_trailing_stop_sells_where_the_path_turned(running: Running, action: str, percent: str) -> None:
    desk, time = running
    desk.order(1, action, 10, "TRAIL", trail_percent=Decimal(percent), tif="GTC")
    begun = time.at
    for _ in range(48):
        time.at += timedelta(minutes=30)
        desk.exchange.tick()
    expected = _turned(begun, time.at, action, Decimal(percent))
    assert [fill.price for fill in desk.fills()] == ([] if expected is None else [expected])


def _turned(begun: datetime, ended: datetime, action: str, percent: Decimal) -> Decimal | None:
    """The price of the trailing order, found by walking the path once more."""
    market, sign = SeededMarket(1, seeded_start), 1 if action == "BUY" else -1
    price = market.price_at("AAPL", begun)
    stop = economics.to_tick(price + sign * price * percent / 100, TICK)
    for _, target in market.points("AAPL", begun, ended):
        if sign * (target - stop) >= 0:
            return stop + sign * economics.half_spread(stop, TICK)
        stop = sign * min(sign * stop, sign * economics.to_tick(target + sign * target * percent / 100, TICK))
    return None


def test_a_good_after_order_wakes_between_two_beats(running: Running) -> None:
    desk, time = running
    wakes = time.at + timedelta(minutes=7)
    desk.order(1, "BUY", 10, "MKT", good_after=wakes)
    time.at += timedelta(hours=1)
    desk.exchange.tick()
    (fill,) = desk.fills()
    assert wakes <= fill.time <= wakes + timedelta(minutes=1)
