"""The account's values and positions, from the account-updates subscription and the broker's list of positions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from autotrader.core.clock import system_now
from broker import types
from broker.errors import AccountError
from broker.ib import mapping

if TYPE_CHECKING:
    from broker.ib.reads import Asking

CLOCK_KEY, CLOCK_SET = "PaperClock", "set"
TIME_KEY = "PaperTime"
TOTAL_IN_BASE = "BASE"
Values = dict[tuple[str, str], str]


def values_of(connection: Any) -> Values:
    """The account's values by (key, currency)."""
    return {
        (row.tag, row.currency): row.value for row in connection.accountValues(connection.account) if not row.modelCode
    }


def clock_is_set(values: Values) -> bool:
    """Whether the gateway declares that its clock is set by hand."""
    return any(key == CLOCK_KEY and value == CLOCK_SET for (key, _), value in values.items())


def summary_of(connection: Any, now: datetime) -> types.AccountSummary:
    """What this connection was told of the account's values, and when. Raises AccountError as `summary` does."""
    wrapper = connection.wrapper
    found = summary(connection.account, values_of(connection), now)
    return replace(found, received_at=wrapper.told_at, account_time=wrapper.account_time)


def summary(account: str, values: Values, now: datetime) -> types.AccountSummary:
    """The account's values in its base currency. Raises AccountError where the broker has not even named that."""
    currency = _base_currency(values)
    if not currency:
        raise AccountError(f"the broker has sent no values of account {account} yet", code="ACCOUNT_SILENT")

    def value(key: str) -> Decimal | None:
        for name in (TOTAL_IN_BASE, currency, ""):
            if (key, name) in values:
                return mapping.number(values[key, name])
        return None

    return types.AccountSummary(
        account=account,
        currency=currency,
        net_liquidation=value("NetLiquidation"),
        cash=value("TotalCashValue"),
        buying_power=value("BuyingPower"),
        available_funds=value("AvailableFunds"),
        gross_position_value=value("GrossPositionValue"),
        init_margin=value("InitMarginReq"),
        maint_margin=value("MaintMarginReq"),
        realized_pnl=value("RealizedPnL"),
        unrealized_pnl=value("UnrealizedPnL"),
        time=now,
        excess_liquidity=value("ExcessLiquidity"),
        equity_with_loan=value("EquityWithLoanValue"),
        cash_by_currency=_cash(values, currency),
    )


def _cash(values: Values, base: str) -> tuple[types.CurrencyCash, ...]:
    """The cash of each currency; the total in the base currency, which TWS lists beside them, is left out."""
    found = []
    for (key, currency), value in sorted(values.items()):
        cash = mapping.number(value) if key == "CashBalance" and currency not in ("", TOTAL_IN_BASE) else None
        if cash is not None:
            rate = Decimal(1) if currency == base else mapping.price(values.get(("ExchangeRate", currency)))
            found.append(types.CurrencyCash(currency, cash, rate))
    return tuple(found)


def _base_currency(values: Values) -> str:
    return next((currency for key, currency in values if key == "NetLiquidation" and currency), "")


async def summary_now(asking: Asking, request: types.Nothing) -> types.AccountSummary:
    """The account's values. Raises AccountError where the broker has said nothing yet."""
    connection = asking.connection
    if asking.session.endpoint.paper:  # a set clock may have moved prices since the last update; TWS sends its own
        await connection.account_values.ask()
    return summary_of(connection, system_now())


async def positions(asking: Asking, request: types.Nothing) -> tuple[types.Position, ...]:
    """What the account holds, asked anew; market values as the account updates last had them."""
    connection = asking.connection
    rows = {
        row.contract.conId: row for row in await connection.positions_now.ask() if row.account == connection.account
    }
    held = {item.contract.conId: item for item in connection.portfolio(connection.account)}
    now, priced_at = system_now(), connection.wrapper.priced_at
    return tuple(
        _position(row, held.get(con_id), now, priced_at.get(con_id))
        for con_id, row in rows.items()
        if mapping.quantity(row.position)
    )


def _position(row: Any, item: Any, now: datetime, priced_at: datetime | None) -> types.Position:
    return types.Position(
        account=row.account,
        con_id=row.contract.conId,
        symbol=row.contract.symbol,
        quantity=mapping.quantity(row.position),
        average_cost=mapping.quantity(row.avgCost),
        market_price=mapping.price(item.marketPrice) if item else None,
        market_value=mapping.number(item.marketValue) if item else None,
        unrealized_pnl=mapping.number(item.unrealizedPNL) if item else None,
        realized_pnl=mapping.number(item.realizedPNL) if item else None,
        sec_type=row.contract.secType or "STK",
        currency=row.contract.currency,
        received_at=now,
        priced_at=priced_at if item else None,
    )
