"""The desk at the moment an order is judged: the Halt, the live-money gates, and the broker's state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from broker import gates, types
from broker.errors import TradingDisabled


@dataclass(frozen=True, slots=True)
class GateRefusal:
    """A gate that is shut: its stable code, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class DeskState:
    """What the controls of the desk look at. `status` None: the broker's owner has not answered, which refuses.

    `sends` False: ORDERS_ENABLED is false, so that an order is simulated and no gate is asked. `money` and `broker`
    are the first shut gate of each kind, None where all are open; `clock` is the clocks' own.
    """

    halt: gates.HaltReading
    status: types.BrokerStatus | None
    sends: bool
    money: GateRefusal | None
    broker: GateRefusal | None
    clock: GateRefusal | None


def desk_state(status: types.BrokerStatus | None, account_id: str = "") -> DeskState:
    """Read the Halt and every gate for an order in `account_id`, by default the connection's own account."""
    if status is None:
        silent = GateRefusal("BROKER_NOT_READY", "the broker's owner has not answered")
        return DeskState(gates.halt_reading(), None, settings.ORDERS_ENABLED, silent, silent, None)
    account = account_id or status.account
    return DeskState(
        halt=gates.halt_reading(),
        status=status,
        sends=settings.ORDERS_ENABLED,
        money=_refusal(lambda: gates.check_money(account=account, status=status)),
        broker=_refusal(lambda: gates.check_broker(status)),
        clock=_refusal(lambda: gates.check_clocks(status)),
    )


def _refusal(check: Callable[[], None]) -> GateRefusal | None:
    try:
        check()
    except TradingDisabled as error:
        return GateRefusal(error.reason, error.message)
    return None
