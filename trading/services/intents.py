"""What is to be sent: an intent, the exact terms it comes down to, and their digest."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from autotrader.core.audit.chain import canonical, instant
from autotrader.core.errors import AutoTraderError
from trading.models import Account, Approval, Decision, Instrument, Order, OrderRequest, Strategy
from trading.models.decision import Purpose
from trading.models.order import SUFFIX, Role
from trading.risk.base import Proposal

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LEG_TERMS = ("role", "side", "quantity", "order_type", "limit_price", "stop_price", "tif")


class NoRoomLeft(AutoTraderError):
    """Under the account's lock the order is no longer admitted: another took the room, or time has passed."""

    code = "NO_ROOM_LEFT"
    status = 409


@dataclass(frozen=True, slots=True)
class Intent:
    """An entry with its protection, or an exit, as the controls allowed it; prices on the tick grid.

    Its cause is a decision or a request. `limit_price` is None of a market order; `expires_at` is the close at which
    a DAY order ends. `proposal` is what the controls judged, and judge again under the account's lock. With an
    `approval` the rows are those that were approved, and it is used in the transaction that makes them SENDING.
    """

    account: Account
    instrument: Instrument
    strategy: Strategy | None
    decision: Decision | None
    request: OrderRequest | None
    purpose: str
    side: str
    order_type: str
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    tif: str
    expires_at: datetime | None
    market_now: datetime
    configuration: dict[str, Any]
    proposal: Proposal
    approval: Approval | None = None

    @property
    def is_entry(self) -> bool:
        """True where it opens or adds."""
        return self.purpose == Purpose.ENTRY


def legs_of(intent: Intent) -> list[dict[str, Any]]:
    """The rows' terms, the parent first: entry, stop and target, or the one exit."""
    if not intent.is_entry:
        return [_leg(intent, Role.EXIT, intent.side, intent.order_type, intent.limit_price, None, intent.tif)]
    away = "SELL" if intent.side == "BUY" else "BUY"
    return [
        _leg(intent, Role.ENTRY, intent.side, intent.order_type, intent.limit_price, None, intent.tif),
        _leg(intent, Role.STOP, away, "STP", None, intent.stop_price, "GTC"),
        _leg(intent, Role.TARGET, away, "LMT", intent.target_price, None, "GTC"),
    ]


def _leg(
    intent: Intent, role: Role, side: str, kind: str, limit: Decimal | None, stop: Decimal | None, tif: str
) -> dict[str, Any]:
    values = (role, side, intent.quantity, kind, limit, stop, tif)
    return dict(zip(LEG_TERMS, values, strict=True))


def terms_of(intent: Intent) -> dict[str, Any]:
    """The exact order as a JSON-safe document: what is hashed, shown to people and approved."""
    return _terms(intent.account.pk, intent.instrument.con_id, legs_of(intent), intent.expires_at)


def terms_of_orders(orders: Sequence[Order]) -> dict[str, Any]:
    """The same document, from the rows that were written for it, the parent first."""
    first = orders[0]
    legs = [{name: getattr(order, name) for name in LEG_TERMS} for order in orders]
    return _terms(first.account_id, first.instrument.con_id, legs, first.expires_at)


def _terms(account: str, con_id: int | None, legs: list[dict[str, Any]], expires_at: datetime | None) -> dict[str, Any]:
    shown = [{name: _text(value) for name, value in leg.items()} for leg in legs]
    return {"account": account, "con_id": con_id, "legs": shown, "expires_at": expires_at and instant(expires_at)}


def _text(value: Any) -> str | None:
    """One text for one number, however many zeros the database gives it."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return None if value is None else str(value)


def digest_of(terms: dict[str, Any]) -> str:
    """SHA-256 of the exact order; one digit changed is another digest."""
    return hashlib.sha256(canonical(terms).encode()).hexdigest()


def new_group() -> str:
    """A group reference that no other order of this or any other installation carries: 60 random bits."""
    return "A" + "".join(secrets.choice(_ALPHABET) for _ in range(12))


def is_reference(text: str) -> bool:
    """Whether an order of some AutoTrader may carry it: a group and the suffix of a role."""
    group, suffix = text[:-2], text[-2:]
    return len(group) == 13 and group[0] == "A" and set(group[1:]) <= set(_ALPHABET) and suffix in SUFFIX.values()
