"""Performance and profit and loss from our own rows: the worked example to the cent, and every edge null, never 0."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import types
from tests.trading.builders import (
    ACCOUNT,
    CON_IDS,
    NOW,
    D,
    bracket,
    cost,
    deliver,
    fill,
    instrument,
    report,
    sent,
    status,
    strategy,
    summary,
)
from trading.models import Account, Fill, Instrument, Order, Strategy, Trade
from trading.selectors.equity_curve import MOST_POINTS, Curve, EquityPoint, Seen, equity_figures
from trading.selectors.performance import Performance, Question, performance
from trading.selectors.pnl import AccountResult, Timeframe, first_day, market_time, pnl_past
from trading.selectors.pnl_today import pnl_today
from trading.selectors.trade_figures import ClosedTrade, time_held, trade_figures
from trading.services.accounts import account_ensure, snapshot_take

MONDAY = datetime(2020, 7, 20, 20, 0, tzinfo=UTC)  # the close in New York
TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (MONDAY + timedelta(days=days) for days in range(1, 5))
HOUR = timedelta(hours=1)


@pytest.fixture
def account(db: None, tmp_path: Path, settings: Any) -> Account:
    """The account, with a state folder of the test's own: a loss may write the Halt's file."""
    settings.AUTOTRADER_STATE_DIR = tmp_path
    settings.AUTOTRADER_BROKER = "paper"
    return account_ensure(ACCOUNT)


def snap(net: str, at: datetime, *held: types.Position, unrealized: str = "0") -> None:
    said = replace(summary(net), unrealized_pnl=D(unrealized))
    snapshot_take(said, held, cause="watch", market_at=at)


def opened(row: Strategy, symbol: str, quantity: str, at: datetime) -> list[Order]:
    """A bracket whose entry has filled at 100 with 1.00 of commission; the stop of its decision is 95."""
    legs = bracket(row, symbol, quantity=quantity)
    bought = fill(legs[0], quantity, "100", time=at)
    deliver(*(sent(leg) for leg in legs), *(report(leg, "PreSubmitted") for leg in legs))
    deliver(bought, cost(bought), report(legs[0], "Filled", quantity))
    return legs


def sold(leg: Order, quantity: str, price: str, at: datetime, number: int = 1) -> None:
    out = fill(leg, quantity, price, time=at, number=number)
    deliver(out, cost(out))


def round_trip(row: Strategy, symbol: str, quantity: str, price: str, at: datetime, held: timedelta) -> None:
    sold(opened(row, symbol, quantity, at)[2], quantity, price, at + held)


def by_hand(side: str, quantity: str, price: str, at: datetime, number: int) -> None:
    """A fill of an order that was made in TWS: no decision names its stop."""
    execution = types.ExecutionReport(
        account=ACCOUNT, order_ref="", perm_id=500 + number, exec_id=f"hand.{number}.01", con_id=CON_IDS["SPY"],
        symbol="SPY", side=side, quantity=D(quantity), price=D(price), time=at, exchange="ARCA",  # type: ignore[arg-type]
    )  # fmt: skip
    deliver(execution, cost(execution))


@pytest.fixture
def week(account: Account) -> Strategy:
    """The worked example of docs/performance-figures.md."""
    row = strategy(symbols=("AAPL", "IBM"))
    instrument("SPY")
    snap("10000", MONDAY)
    round_trip(row, "AAPL", "10", "110", TUESDAY - 4 * HOUR, HOUR)
    snap("10098", TUESDAY)
    # Values follow fills by minutes: what changes later, with nothing held, is money that came.
    Fill.objects.update(at=TUESDAY)
    snap("15098", WEDNESDAY - 8 * HOUR)
    round_trip(row, "IBM", "20", "94", WEDNESDAY - 4 * HOUR, 2 * HOUR)
    snap("14976", WEDNESDAY)
    by_hand("BUY", "10", "100", THURSDAY - 5 * HOUR, 1)
    by_hand("SELL", "10", "106", THURSDAY - 2 * HOUR, 2)
    snap("15034", THURSDAY)
    snap("15034", FRIDAY)
    return row


def asked(account: Account, **changes: Any) -> Performance:
    days: dict[str, Any] = {"from_day": date(2020, 7, 21), "to_day": date(2020, 7, 24)}
    return performance(Question(account, **(days | changes)))


def missing(found: Performance | AccountResult) -> set[str]:
    return {one.field for one in found.missing if one.reason}


def test_the_worked_example_to_the_cent(week: Strategy, account: Account) -> None:
    found = asked(account)
    equity, trades = found.equity, found.trades
    assert (equity.start, equity.end, equity.flows, equity.change) == (10000, 15034, 5000, 34)
    assert equity.time_weighted_return == D("0.005519")
    assert equity.drawdown is not None
    assert (equity.drawdown.greatest, equity.drawdown.current) == (D("0.008081"), D("0.004239"))
    assert (equity.drawdown.peak_at, equity.drawdown.trough_at) == (WEDNESDAY - 8 * HOUR, WEDNESDAY)
    assert equity.drawdown.recovered_at is None
    assert (trades.count, trades.wins, trades.losses, trades.even, trades.win_rate) == (3, 2, 1, 0, D("0.666667"))
    assert (trades.gross_profit, trades.gross_loss, trades.net, trades.fees) == (156, 122, 34, 6)
    assert (trades.profit_factor, trades.expectancy) == (D("1.278689"), D("11.3333"))
    assert (trades.average_win, trades.average_loss, trades.best, trades.worst) == (78, 122, 98, -122)
    assert (trades.expectancy_r, trades.r_count) == (D("0.37"), 2)
    assert found.exposure.fraction == D("0.068182")
    assert (found.as_of, found.fees_pending, found.other_currency, found.missing) == (FRIDAY, 0, 0, ())
    assert [point.equity for point in equity.points] == [10000, 10098, 15098, 14976, 15034, 15034]


def test_days_that_are_left_out_mean_all_of_them(week: Strategy, account: Account) -> None:
    everything = asked(account, from_day=None, to_day=None)
    assert (everything.equity.change, everything.trades.net) == (34, 34)
    assert everything.exposure.since == MONDAY


def test_a_strategy_has_its_trades_and_no_equity(week: Strategy, account: Account) -> None:
    found = asked(account, strategies=((week.pk, week.name),))
    assert (found.trades.count, found.trades.net, found.strategies) == (2, -24, (week.name,))
    assert found.equity.start is None
    assert {"equity.start", "equity.time_weighted_return", "equity.drawdown"} <= missing(found)
    assert asked(account, strategies=()).trades.count == 0


def test_a_new_row_is_in_the_next_answer(week: Strategy, account: Account) -> None:
    assert asked(account).trades.count == 3
    by_hand("BUY", "1", "100", FRIDAY - 2 * HOUR, 3)
    by_hand("SELL", "1", "100", FRIDAY - HOUR, 4)
    assert (asked(account).trades.count, asked(account).trades.worst) == (4, -122)
    snap("15032", FRIDAY + HOUR)
    assert asked(account).equity.end == 15032


def test_trades_in_another_currency_are_counted_and_in_no_figure(week: Strategy, account: Account) -> None:
    Instrument.objects.filter(symbol="SPY").update(currency="EUR")
    found = asked(account, to_day=date(2020, 7, 25))
    assert (found.trades.count, found.other_currency, found.fx) == (2, 1, "base_currency_only")


# Edges: null with a reason


def test_nothing_known_is_null_and_says_why(account: Account) -> None:
    found = performance(Question(account))
    nulls = {f"equity.{one.name}" for one in fields(found.equity) if getattr(found.equity, one.name) is None}
    nulls |= {f"trades.{one.name}" for one in fields(found.trades) if getattr(found.trades, one.name) is None}
    assert (found.trades.count, found.exposure.fraction, found.as_of) == (0, None, None)
    assert missing(found) == (nulls | {"exposure.fraction"}) - {
        "equity.start_at", "equity.end_at", "equity.why"
    }  # fmt: skip


def test_one_snapshot_is_no_time(account: Account) -> None:
    snap("10000", MONDAY)
    found = performance(Question(account))
    assert (found.equity.start, found.equity.end, found.equity.flows) == (10000, 10000, 0)
    assert {"equity.change", "equity.time_weighted_return", "equity.drawdown"} <= missing(found)
    assert found.equity.change is None


def test_money_that_came_before_the_first_snapshot_is_no_flow_of_the_time() -> None:
    found = equity_figures([Seen(MONDAY, D(15000), D(5000)), Seen(TUESDAY, D(15300), D(0))])
    assert (found.flows, found.change, found.time_weighted_return) == (0, 300, D("0.02"))


@pytest.mark.parametrize("values", [("0", "100"), ("100", "0"), ("100", "-5", "100"), ("100", "0", "100")])
def test_no_return_where_equity_was_not_above_zero(values: tuple[str, ...]) -> None:
    found = equity_figures(Seen(MONDAY + number * HOUR, D(value), D(0)) for number, value in enumerate(values))
    assert (found.time_weighted_return, found.drawdown, found.why) == (None, None, "EQUITY_NOT_POSITIVE")
    assert found.change == D(values[-1]) - D(values[0])


def test_a_deposit_and_a_withdrawal_leave_the_return_alone() -> None:
    values = [("100", "0"), ("110", "0"), ("1110", "1000"), ("1221", "0"), ("221", "-1000")]
    found = equity_figures(Seen(MONDAY + n * HOUR, D(net), D(flow)) for n, (net, flow) in enumerate(values))
    assert (found.time_weighted_return, found.flows, found.change) == (D("0.21"), 0, 121)
    assert found.drawdown is not None
    assert (found.drawdown.greatest, found.drawdown.peak_at) == (0, None)


def test_a_drawdown_ends_where_its_height_is_reached_again() -> None:
    values = ["100", "120", "90", "119", "121", "115"]
    found = equity_figures(Seen(MONDAY + n * HOUR, D(net), D(0)) for n, net in enumerate(values)).drawdown
    assert found is not None
    assert (found.greatest, found.peak_at, found.trough_at) == (D("0.25"), MONDAY + HOUR, MONDAY + 2 * HOUR)
    assert (found.recovered_at, found.current_peak_at) == (MONDAY + 4 * HOUR, MONDAY + 4 * HOUR)
    assert found.current == D("0.049587")


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=4000))
def test_a_thinned_curve_keeps_its_ends_and_extremes(values: list[int]) -> None:
    curve = Curve()
    for number, value in enumerate(values):
        curve.take(EquityPoint(MONDAY + timedelta(minutes=number), D(value), None))
    points = list(curve.points())
    told = [point.equity for point in points]
    assert len(points) <= MOST_POINTS
    assert [point.at for point in points] == sorted({point.at for point in points})
    assert (told[0], told[-1], min(told), max(told)) == (values[0], values[-1], min(values), max(values))
    assert len(values) > MOST_POINTS or told == values


def closed(pnl: str, stop: str | None = "95") -> ClosedTrade:
    return ClosedTrade(D(pnl), D(2), D(10), D(100), None if stop is None else D(stop))


def test_no_loss_means_no_profit_factor() -> None:
    found = trade_figures([closed("50"), closed("0")])
    assert (found.profit_factor, found.average_loss, found.gross_loss, found.even) == (None, None, 0, 1)
    assert (found.win_rate, found.expectancy, found.expectancy_r) == (D("0.5"), 25, D("0.5"))


def test_r_is_known_only_where_a_stop_was_named_off_the_entry() -> None:
    found = trade_figures([closed("-50", None), closed("-50", "100"), closed("-50")])
    assert (found.r_count, found.expectancy_r, found.expectancy) == (1, -1, -50)


def test_times_that_overlap_count_once() -> None:
    spans = [(MONDAY, MONDAY + 3 * HOUR), (MONDAY + HOUR, MONDAY + 2 * HOUR), (MONDAY + 5 * HOUR, MONDAY + 6 * HOUR)]
    assert time_held(spans) == 4 * HOUR
    assert time_held([]) == timedelta()


# Profit and loss


def pnl(account: Account, timeframe: Timeframe = "all", symbol: str | None = None, now: datetime = FRIDAY) -> Any:
    return pnl_past(account, timeframe, symbol, now)


def test_profit_and_loss_of_a_week_by_symbol(week: Strategy, account: Account) -> None:
    found = pnl(account, "week")
    assert (found.source, found.from_time, found.to_time) == ("history", datetime(2020, 7, 20, 4, tzinfo=UTC), FRIDAY)
    assert (found.realized, found.total, found.unrealized, found.commissions) == (34, 34, 0, 6)
    assert {row.symbol: row.realized for row in found.by_symbol} == {"AAPL": 98, "IBM": -122, "SPY": 58}
    one = pnl(account, "week", "IBM")
    assert (one.realized, one.total, one.unrealized, missing(one)) == (-122, None, None, {"total", "unrealized"})


def test_a_part_that_was_closed_before_the_time_is_in_the_time_before(account: Account) -> None:
    legs = opened(strategy(), "AAPL", "10", MONDAY)
    sold(legs[2], "4", "110", MONDAY + HOUR)
    held = pnl(account, "week")
    assert (held.realized, held.commissions) == (D("38.6"), 2)  # 4 × 10 − 1 − 0.4 of the entry's 1.00
    assert [(row.symbol, row.quantity) for row in held.by_symbol] == [("AAPL", 6)]
    sold(legs[2], "6", "120", MONDAY + timedelta(days=8), number=2)
    later = MONDAY + timedelta(days=9)
    assert pnl(account, "week", now=later).realized == D("118.4")  # 6 × 20 − 1 − 0.6
    assert pnl(account, "all", now=later).realized == D("157") == Trade.objects.get().pnl


class Today:
    """The three calls of the port that the result of the day asks."""

    def __init__(self, *executions: types.ExecutionReport) -> None:
        self.told = executions

    def pnl(self) -> types.ProfitAndLoss:
        return types.ProfitAndLoss(ACCOUNT, D(0), D(0), D(0), (), NOW)

    def account(self) -> types.AccountSummary:
        return summary()

    def executions(self) -> tuple[types.ExecutionReport, ...]:
        return self.told


def today(*executions: types.ExecutionReport, symbol: str | None = None) -> AccountResult:
    return pnl_today(Today(*executions), status(), symbol)  # type: ignore[arg-type]


def test_the_day_counts_a_corrected_execution_once_and_adds_up_no_other_currency(account: Account) -> None:
    first = types.ExecutionReport(
        account=ACCOUNT, order_ref="", perm_id=1, exec_id="0001.01.01", con_id=CON_IDS["AAPL"], symbol="AAPL",
        side="SELL", quantity=D(10), price=D(100), time=NOW, exchange="NASDAQ", commission=D(1),
        commission_currency="USD", realized_pnl=D(40),
    )  # fmt: skip
    again = replace(first, exec_id="0001.01.02", commission=D("1.5"), realized_pnl=D(30))
    found = today(again, first)
    assert (found.commissions, found.by_symbol[0].realized, found.missing) == (D("1.5"), 30, ())
    abroad = replace(first, exec_id="0002.01.01", con_id=2, symbol="SAP", commission_currency="EUR")
    found = today(again, abroad)
    assert (found.commissions, missing(found)) == (None, {"commissions"})
    told = {row.symbol: (row.commissions, row.realized) for row in found.by_symbol}
    assert told == {"AAPL": (D("1.5"), 30), "SAP": (None, None)}
    assert today(again, abroad, symbol="AAPL").commissions == D("1.5")


def test_an_account_of_which_nothing_is_known(account: Account) -> None:
    found = pnl(account)
    assert (found.realized, found.commissions, found.by_symbol) == (0, 0, ())
    assert (found.total, found.unrealized, missing(found)) == (None, None, {"total", "unrealized"})


def test_a_set_clock_says_which_week_it_is(week: Strategy, account: Account) -> None:
    """The snapshots of the example were taken today, by a market that lives in 2020."""
    assert pnl(account, "week", now=datetime(2026, 11, 20, tzinfo=UTC)).to_time == FRIDAY
    assert market_time(None, MONDAY) == MONDAY


@pytest.mark.parametrize(
    ("timeframe", "first"),
    [("week", date(2020, 7, 20)), ("month", date(2020, 7, 1)), ("year", date(2020, 1, 1)), ("all", None)],
)
def test_times_are_the_calendars(timeframe: Timeframe, first: date | None) -> None:
    assert first_day(timeframe, date(2020, 7, 26)) == first
