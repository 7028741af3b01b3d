"""Margin, previews and cash in several currencies: what the account shows is what its fills made of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway.engine import Booked
from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.margin import cents
from broker.paper_gateway.types import ContractFilter, OrderTerms, SymbolSpec

from .conftest import Desk, RunningTime

WEDNESDAY = datetime(2026, 3, 4, 15, 0, 5, tzinfo=UTC)
START = Decimal(50_000_000)
CENT = Decimal("0.01")
NAMES: list[tuple[str, str, str]] = [
    ("STK", "AAPL", "USD"),
    ("STK", "SAP", "EUR"),
    ("STK", "VOD", "GBP"),
    ("STK", "7203", "JPY"),
    ("FUT", "ES", "USD"),
    ("FUT", "GC", "USD"),
    ("CASH", "EUR", "USD"),
    ("CASH", "USD", "JPY"),
    ("CASH", "EUR", "GBP"),
]


class Floor:
    """An exchange on a clock that stands while it believes it runs, so that orders trade at once at what is quoted."""

    def __init__(self, exchange: PaperExchange, time: RunningTime) -> None:
        self.exchange = exchange
        self.time = time
        self.desk = Desk(exchange, "", 0)
        self._next = 1

    def spec(self, sec_type: str, symbol: str, currency: str) -> SymbolSpec:
        return self.exchange.find(ContractFilter(symbol=symbol, sec_type=sec_type, currency=currency))[0]

    def terms(self, spec: SymbolSpec, action: str, quantity: int, **terms: Any) -> OrderTerms:
        values: dict[str, Any] = {"order_type": "MKT", **terms}
        self._next += 1
        return OrderTerms(1, self._next, spec.con_id, spec.symbol, action, Decimal(quantity), **values)

    def trade(self, spec: SymbolSpec, action: str, quantity: int, **terms: Any) -> int:
        order = self.terms(spec, action, quantity, **terms)
        self.exchange.submit(order)
        return order.order_id

    def value(self, key: str, currency: str = "USD") -> Decimal:
        return Decimal(self.desk.value(key, currency))


@contextmanager
def floor(cash: Decimal = START) -> Iterator[Floor]:
    time = RunningTime(WEDNESDAY)
    exchange = PaperExchange(data_folder=None, store_path=None, account="DU1", cash=cash, system_clock=time)
    yield Floor(exchange, time)
    exchange.close()


CONTRACT = st.integers(0, len(NAMES) - 1)
SIZE = st.integers(1, 3)
ACTION = st.sampled_from(["BUY", "SELL"])
KIND = st.sampled_from(["MKT", "LMT", "STP"])


def shares(spec: SymbolSpec, size: int) -> int:
    """A size that the quote shows, and that the account can carry."""
    return {"STK": 33, "FUT": 1, "CASH": 17_001}[spec.sec_type] * size


@settings(max_examples=30, deadline=None)
@given(
    held=st.lists(st.tuples(CONTRACT, ACTION, SIZE), max_size=4),
    asked=st.tuples(CONTRACT, ACTION, SIZE),
    kind=KIND,
)
def test_a_preview_is_what_the_fill_makes_of_the_account(
    held: list[tuple[int, str, int]], asked: tuple[int, str, int], kind: str
) -> None:
    with floor() as place:
        for index, action, size in held:
            spec = place.spec(*NAMES[index])
            place.trade(spec, action, shares(spec, size))
        spec, action, size = place.spec(*NAMES[asked[0]]), asked[1], asked[2]
        terms = place.terms(spec, action, shares(spec, size), **_marketable(place, spec, action, kind))
        preview = place.exchange.preview(terms)
        before = {key: place.value(key) for key in ("InitMarginReq", "MaintMarginReq", "EquityWithLoanValue")}
        assert [row[0] for row in _rows(preview)] == list(before.values())
        place.exchange.submit(terms)
        fills = place.desk.fills(terms.order_id)
        assert sum(fill.shares for fill in fills) == terms.quantity
        after = [place.value(key) for key in before]
        assert [row[2] for row in _rows(preview)] == after
        assert [row[1] for row in _rows(preview)] == [
            new - old for new, old in zip(after, before.values(), strict=True)
        ]
        costs = {e.exec_id: c for e, c in place.exchange.executions()}
        assert sum(costs[fill.exec_id].commission for fill in fills) == preview.commission


def _rows(preview: Any) -> list[tuple[Decimal, Decimal, Decimal]]:
    return [preview.init_margin, preview.maint_margin, preview.equity_with_loan]


def _marketable(place: Floor, spec: SymbolSpec, action: str, kind: str) -> dict[str, Any]:
    quote = place.exchange.quote(spec.con_id)
    assert quote.bid is not None
    assert quote.ask is not None
    if kind == "LMT":
        far = quote.ask + spec.min_tick if action == "BUY" else quote.bid - spec.min_tick
        return {"order_type": "LMT", "limit_price": far}
    if kind == "STP":
        return {"order_type": "STP", "aux_price": quote.bid if action == "BUY" else quote.ask}
    return {}


@settings(max_examples=25, deadline=None)
@given(trades=st.lists(st.tuples(CONTRACT, ACTION, SIZE, st.integers(0, 3 * 24 * 3600)), max_size=6))
def test_equity_is_the_start_and_what_every_fill_became(trades: list[tuple[int, str, int, int]]) -> None:
    with floor() as place:
        for index, action, size, pause in trades:
            spec = place.spec(*NAMES[index])
            place.trade(spec, action, shares(spec, size))
            place.time.at += timedelta(seconds=pause)
            place.exchange.tick()
        assert abs(place.value("NetLiquidation") - _worth(place)) < CENT
        total = sum(
            (place.value("NetLiquidationByCurrency", code) * place.exchange.rate(code) for code in _currencies(place)),
            Decimal(0),
        )
        assert abs(total - place.value("NetLiquidation")) < CENT * 3
        assert place.value("NetLiquidationByCurrency", "BASE") == place.value("NetLiquidation")


def _currencies(place: Floor) -> list[str]:
    rows = place.exchange.account_values()
    return [row.currency for row in rows if row.key == "Currency" and row.currency != "BASE"]


def _worth(place: Floor) -> Decimal:
    """Start, plus what each fill gained since, less its commission, all at the prices and rates of now."""
    worth = START
    costs = {event.commission.exec_id: event.commission for event in place.desk.events if hasattr(event, "commission")}
    for fill in place.desk.fills():
        spec = next(s for s in (place.spec(*name) for name in NAMES) if s.con_id == fill.con_id)
        signed = fill.shares if fill.side == "BOT" else -fill.shares
        cost = costs[fill.exec_id]
        worth -= cost.commission * place.exchange.rate(cost.currency)
        paid = signed * fill.price * spec.multiplier * place.exchange.rate(spec.currency)
        if spec.sec_type == "CASH":
            worth += signed * place.exchange.rate(spec.symbol) - paid
        else:
            last = place.exchange.quote(spec.con_id).last
            assert last is not None
            worth += signed * last * spec.multiplier * place.exchange.rate(spec.currency) - paid
    return worth


def test_a_stock_abroad_makes_a_debt_in_its_currency_and_converts_nothing() -> None:
    with floor() as place:
        sap = place.spec("STK", "SAP", "EUR")
        place.trade(sap, "BUY", 100)
        (fill,) = place.desk.fills()
        (_, cost), *_ = place.exchange.executions()
        assert cost.currency == "EUR"
        assert place.value("CashBalance", "EUR") == -100 * fill.price - cost.commission
        assert place.value("CashBalance", "USD") == START
        assert place.desk.value("ExchangeRate", "EUR")[:2] in {"1.", "0."}
        held = place.exchange.positions()[0]
        assert held.market_value == held.market_price * 100
        margin = held.market_value * Decimal("0.50") * place.exchange.rate("EUR")
        assert place.value("InitMarginReq") == margin.quantize(CENT)


def test_a_future_holds_a_fixed_margin_and_its_cost_counts_the_multiplier() -> None:
    with floor() as place:
        future = place.spec("FUT", "ES", "USD")
        place.trade(future, "SELL", 2)
        (fill,) = place.desk.fills()
        assert future.margin_fixed is not None
        assert place.value("InitMarginReq") == future.margin_fixed * 2
        assert place.value("MaintMarginReq") == future.margin_fixed * 2 * Decimal("0.9")
        assert place.value("TotalCashValue") == START - Decimal("4.50")
        held = place.exchange.positions()[0]
        assert held.avg_cost == fill.price * future.multiplier - Decimal("2.25")
        assert held.market_value == -2 * held.market_price * future.multiplier


def test_a_pair_exchanges_cash_and_is_shown_as_a_position_too() -> None:
    with floor() as place:
        pair = place.spec("CASH", "EUR", "USD")
        place.trade(pair, "BUY", 100_000)
        (fill,) = place.desk.fills()
        assert place.value("CashBalance", "EUR") == 100_000
        (_, cost), *_ = place.exchange.executions()
        assert (cost.currency, cost.commission >= 2) == ("USD", True)
        assert place.value("CashBalance", "USD") == (START - 100_000 * fill.price - cost.commission).quantize(CENT)
        assert place.exchange.positions()[0].quantity == 100_000
        assert place.value("InitMarginReq") == 0


@pytest.mark.parametrize(
    ("name", "action", "quantity"),
    [
        (("FUT", "ES", "USD"), "BUY", 1),
        (("STK", "SAP", "EUR"), "BUY", 100),
        (("STK", "AAPL", "USD"), "SELL", 200),
        (("CASH", "EUR", "USD"), "BUY", 20_000),
    ],
)
def test_what_the_account_cannot_carry_is_rejected_in_every_currency(
    name: tuple[str, str, str], action: str, quantity: int
) -> None:
    with floor(Decimal(5_000)) as place:
        order_id = place.trade(place.spec(*name), action, quantity)
        assert (place.desk.refusals(order_id), place.desk.fills()) == ([201], [])


def test_below_maintenance_margin_the_values_say_so() -> None:
    with floor(Decimal(20_000)) as place:
        future = place.spec("FUT", "MES", "USD")
        while place.desk.refusals(place.trade(future, "BUY", 1)) == []:
            pass
        for _ in range(400):
            place.time.at += timedelta(days=1)
            if place.value("ExcessLiquidity") < 0:
                break
        assert place.value("ExcessLiquidity") < 0
        assert Decimal(place.desk.value("Cushion", "")) <= 0


def test_a_future_that_expired_is_settled_in_cash_and_its_orders_end() -> None:
    with floor() as place:
        future = place.spec("FUT", "ES", "USD")
        place.trade(future, "BUY", 2)
        resting = place.trade(future, "SELL", 2, order_type="LMT", limit_price=Decimal("99999.00"), tif="GTC")
        (fill,) = place.desk.fills()
        last_day = datetime.strptime(future.expiry, "%Y%m%d").replace(tzinfo=UTC)
        place.time.at = last_day + timedelta(days=1, hours=5)  # midnight in New York, or an hour later
        place.exchange.tick()
        assert place.exchange.positions() == []
        assert place.desk.refusals(resting) == [202]
        assert place.value("InitMarginReq") == 0
        gained = place.value("TotalCashValue") - START + Decimal("4.50")
        settled = fill.price + gained / 2 / future.multiplier
        assert settled > 0
        assert settled % future.min_tick == 0
        assert place.value("NetLiquidation") == place.value("TotalCashValue")


@settings(max_examples=25, deadline=None)
@given(
    trades=st.lists(st.tuples(CONTRACT, ACTION, SIZE), min_size=1, max_size=7),
    chosen=st.integers(0, 6),
    opened=st.booleans(),
    change=st.sampled_from(["bust", "price", "shares"]),
)
def test_after_a_bust_or_a_correction_the_books_are_as_if_nothing_else_had_been(
    trades: list[tuple[int, str, int]], chosen: int, change: str, *, opened: bool
) -> None:
    chosen %= len(trades)
    with floor() as place, floor() as other:
        if opened:  # a holding that the day begins with
            for each in (place, other):
                each.trade(each.spec(*NAMES[0]), "BUY", 66)
                each.time.at += timedelta(days=1)
                each.exchange.tick()
        for index, action, size in trades:
            place.trade(place.spec(*NAMES[index]), action, shares(place.spec(*NAMES[index]), size))
        fill = place.exchange.executions()[chosen][0]
        if change == "bust":
            place.exchange.bust_execution(fill.exec_id)
        elif change == "price":
            place.exchange.correct_execution(fill.exec_id, price=fill.price + 1)
        else:
            place.exchange.correct_execution(fill.exec_id, shares=fill.shares - 1 or Decimal(2))
        _book_again(place, other)
        assert place.exchange.positions() == other.exchange.positions()
        mine, others = ([*each.exchange.account_values()] for each in (place, other))
        empty = {"0.00", "1.00"}
        assert {row for row in mine if row.value not in empty} - {*others} == set(), (mine, others)
        profits = [cost.realized_pnl for execution, cost in place.exchange.executions() if execution.shares]
        assert profits == [cost.realized_pnl for _, cost in other.exchange.executions()]


def _book_again(place: Floor, other: Floor) -> None:
    """Have on another floor just the executions that count on the first, each with its own price and commission."""
    engine = other.exchange._engine
    for execution, cost in place.exchange.executions():
        if execution.shares:
            spec = other.exchange.find(ContractFilter(con_id=execution.con_id))[0]
            signed = execution.shares if execution.side == "BOT" else -execution.shares
            booked = engine.book_trade(spec, signed, execution.price, cost.commission)
            number = len(engine.executions) + 100
            engine.executions[number] = Booked(execution, booked)


def test_an_average_cost_knows_nothing_of_an_execution_that_was_taken_back(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data_folder": None, "store_path": tmp_path / "store.sqlite3", "account": "DU1"}
    exchange = PaperExchange(system_clock=(time := RunningTime(WEDNESDAY)), **settings)
    place = Floor(exchange, time)
    spec = place.spec("STK", "SPY", "USD")
    for size in (1, 2, 4, 5, 7):
        place.trade(spec, "BUY", size)
    exchange.close()
    exchange = PaperExchange(system_clock=time, **settings)  # what the day began with is kept
    executions = [execution for execution, _ in exchange.executions()]
    exchange.bust_execution(executions[2].exec_id)
    (held,) = exchange.positions()
    rest = [execution for execution in executions if execution.shares != 4]
    paid = sum((fill.shares * fill.price for fill in rest), Decimal(0)) + sum(
        cost.commission for _, cost in exchange.executions()
    )
    assert (held.quantity, held.realized_pnl) == (15, 0)
    assert held.avg_cost == (paid / 15).quantize(Decimal("1E-8"))
    with pytest.raises(KeyError):
        exchange.bust_execution(exchange.executions()[2][0].exec_id)
    exchange.close()


@pytest.mark.parametrize(
    ("held", "action", "size", "away"),
    [(363, "BUY", 100, "-100"), (363, "SELL", 100, "100"), (100, "SELL", 300, "100"), (0, "BUY", 100, "-100")],
)
def test_the_preview_of_an_order_that_waits_leaves_the_holding_at_the_market(
    held: int, action: str, size: int, away: str
) -> None:
    with floor() as place:
        spec = place.spec("STK", "SPY", "USD")
        if held:
            place.trade(spec, "BUY", held)
        last = place.exchange.quote(spec.con_id).last
        assert last is not None
        limit = last + Decimal(away)
        preview = place.exchange.preview(place.terms(spec, action, size, order_type="LMT", limit_price=limit))
        signed = size if action == "BUY" else -size
        stays = min(held, held + signed) if signed < 0 else held
        value = max(0, stays) * last + (abs(signed) - (held - max(0, stays))) * limit
        assert preview.init_margin[2] == cents(value / 2)
        assert (preview.init_margin[1] > 0) == (abs(held + signed) > held)
        assert preview.equity_with_loan[1] == -preview.commission
