"""Resolve the contract and ask whether its regular session is open at the market's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broker import types
from trading.services.instruments import instrument_resolved, session_note
from trading.workflow.context import StepContext, StepResult, hold

NEEDS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameters:
    """`required` false: go on outside the session too (for analysis only)."""

    required: bool = True


def run(context: StepContext) -> StepResult:
    """Output: the session and the contract; outside the session HOLD `session_closed`."""
    row = context.instrument
    query = types.ContractQuery(row.symbol, row.sec_type, row.exchange, row.currency)
    contract = context.broker.contracts(query)[0]
    hours = session_at(contract, context)
    output: dict[str, Any] = {"con_id": contract.con_id, "expires_at": _day_order_ends(contract, context)}
    if hours is None and context.spec.parameters.required:
        return hold("session_closed", f"{row.symbol} has no open session at {context.market_now:%Y-%m-%d %H:%M} UTC")

    def write() -> dict[str, Any]:
        instrument_resolved(row, contract)
        if hours is not None:
            session_note(contract.primary_exchange, hours)
        return {}

    if hours is not None:
        output |= {"open": hours.open.isoformat(), "close": hours.close.isoformat()}
    return StepResult(output, input={"market_now": context.market_now.isoformat()}, write=write)


def session_at(contract: types.Contract, context: StepContext) -> types.SessionHours | None:
    """The session that is open now; its closing instant still counts as open."""
    now = context.market_now
    return next((hours for hours in contract.liquid_hours if hours.open <= now <= hours.close), None)


def _day_order_ends(contract: types.Contract, context: StepContext) -> str | None:
    """The close at which a DAY order sent now would end: one sent at the close lives through the next session."""
    closes = sorted(hours.close for hours in contract.liquid_hours if hours.close > context.market_now)
    return closes[0].isoformat() if closes else None
