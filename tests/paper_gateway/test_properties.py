"""What must hold whatever orders come and wherever prices go."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway import economics
from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.universe import derived_con_id

from .conftest import FIRST_DAY, Desk, Row, close_of, write_daily

START = Decimal(1_000_000)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A sound bar around 100 with a small or a large volume."""
    prices = sorted(draw(st.lists(st.integers(8000, 12000), min_size=4, max_size=4)))
    low, one, two, high = (price / 100 for price in prices)
    first, last = draw(st.sampled_from([(one, two), (two, one)]))
    return (first, high, low, last, draw(st.sampled_from([0, 7, 450, 1_000_000])))


PRICE = st.integers(8000, 12000).map(lambda cents: str(Decimal(cents) / 100))
MARKET = st.lists(rows(), min_size=3, max_size=7)


@contextmanager
def market(days: list[Row]) -> Iterator[Desk]:
    with tempfile.TemporaryDirectory() as folder:
        write_daily(Path(folder), "XYZ", days)
        start = close_of(FIRST_DAY)
        exchange = PaperExchange(
            data_folder=Path(folder), store_path=None, account="DU1", set_clock=start, system_clock=lambda: start
        )
        yield Desk(exchange, "XYZ", derived_con_id("XYZ"))
        exchange.close()


def check_money(desk: Desk) -> None:
    """Cash and holding are what the fills make of the start, and each order paid the commission of the formula."""
    cash, held, paid = START, Decimal(0), Decimal(0)
    traded: dict[int, list[Decimal]] = {}
    for fill in desk.fills():
        signed = fill.shares if fill.side == "BOT" else -fill.shares
        cash, held = cash - signed * fill.price, held + signed
        totals = traded.setdefault(fill.order_id, [Decimal(0), Decimal(0)])
        totals[0] += fill.shares
        totals[1] += fill.shares * fill.price
    paid = sum((economics.commission(shares, value) for shares, value in traded.values()), Decimal(0))
    assert Decimal(desk.value("TotalCashValue")) == cash - paid
    assert sum((view.quantity for view in desk.exchange.positions()), Decimal(0)) == held


ORDER = st.tuples(
    st.integers(0, 5),
    st.sampled_from(["BUY", "SELL"]),
    st.integers(1, 300),
    st.sampled_from(["MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MIT", "LIT", "MOC", "LOC"]),
    PRICE,
    st.sampled_from(["DAY", "GTC", "DAY", "GTC", "IOC", "FOK", "OPG"]),
    st.sampled_from(["", "", "G"]),
)


@settings(max_examples=60, deadline=None)
@given(days=MARKET, orders=st.lists(ORDER, max_size=8))
def test_money_is_conserved_and_no_order_is_overfilled(days: list[Row], orders: list[tuple[int, ...]]) -> None:
    with market(days) as desk:
        for day in range(len(days)):
            desk.day(day)
            for number, (at, action, quantity, kind, price, tif, group) in enumerate(orders, start=1):
                if at == day:
                    order_id = day * 100 + number
                    terms = {"limit_price": price, "aux_price": price, "tif": tif, "oca_group": group}
                    if kind in ("TRAIL", "TRAIL LIMIT"):
                        terms |= {"aux_price": "2.50", "limit_offset": Decimal("0.10")}
                    desk.order(order_id, str(action), quantity, str(kind), **terms)
            check_money(desk)
        views = {view.terms.order_id: view for view in desk.exchange.completed_orders()}
        for order_id, view in views.items():
            fills = desk.fills(order_id)
            assert sum(fill.shares for fill in fills) == view.filled <= view.terms.quantity
            if view.terms.order_type in ("LMT", "STP LMT", "LIT", "LOC"):
                limit = view.terms.limit_price
                assert all(fill.price <= limit if fill.side == "BOT" else fill.price >= limit for fill in fills)
            if view.terms.tif == "FOK":
                assert len(fills) <= 1


@settings(max_examples=60, deadline=None)
@given(
    days=MARKET,
    quantity=st.integers(1, 200),
    stop=st.integers(8000, 9900).map(lambda cents: str(Decimal(cents) / 100)),
    target=st.integers(10100, 12000).map(lambda cents: str(Decimal(cents) / 100)),
    entry=st.sampled_from(["MKT", "LMT"]),
    tif=st.sampled_from(["DAY", "GTC"]),
)
def test_a_bracket_never_ends_short_nor_leaves_shares_naked(
    days: list[Row], quantity: int, stop: str, target: str, entry: str, tif: str
) -> None:
    with market(days) as desk:
        terms = {"limit_price": "100.00"} if entry == "LMT" else {}
        desk.bracket(1, target=target, stop=stop, quantity=quantity, order_type=entry, tif=tif, **terms)
        for day in range(1, len(days)):
            desk.day(day)
            held = sum((view.quantity for view in desk.exchange.positions()), Decimal(0))
            working = {view.terms.order_id: view for view in desk.exchange.open_orders(None)}
            assert held >= 0
            assert held <= sum(view.remaining for leg, view in working.items() if leg == 3)
            assert sum(fill.shares for leg in (2, 3) for fill in desk.fills(leg)) <= desk.view(1).filled
        check_money(desk)


@settings(max_examples=60, deadline=None)
@given(
    days=MARKET,
    sizes=st.lists(st.integers(1, 200), min_size=2, max_size=4),
    prices=st.lists(PRICE, min_size=4, max_size=4),
    group_type=st.integers(0, 3),
)
def test_a_group_never_trades_more_than_its_largest_order(
    days: list[Row], sizes: list[int], prices: list[str], group_type: int
) -> None:
    with market(days) as desk:
        for number, size in enumerate(sizes, start=1):
            terms = {"limit_price": prices[number - 1], "oca_group": "G", "oca_type": group_type, "tif": "GTC"}
            desk.order(number, "BUY", size, "LMT", **terms)
        desk.day(len(days) - 1)
        assert sum(fill.shares for fill in desk.fills()) <= max(sizes)
