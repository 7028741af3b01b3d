"""What a rule is given and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.models import RiskProfile


@dataclass(frozen=True, slots=True)
class Proposal:
    """An entry or exit as it would be sent, with everything the rules may look at; None = not known.

    `price` is what would be paid or received now (ask or bid); `limit_price` the worst price the order allows.
    """

    purpose: str
    side: str
    symbol: str
    currency: str
    base_currency: str
    price: Decimal | None
    claimed_price: Decimal | None
    target_price: Decimal | None
    stop_price: Decimal | None
    reward_ratio: Decimal | None
    profit_margin: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    quote_at: datetime | None
    market_now: datetime
    limit_price: Decimal | None
    quantity: Decimal
    tick: Decimal | None
    position: Decimal
    equity: Decimal | None
    available_funds: Decimal | None
    exposure_total: Decimal
    exposure_instrument: Decimal
    open_entries: int
    entries_today: int
    allow_short: bool
    own_symbols: tuple[str, ...]
    limits: RiskProfile


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's word: allowed, or a stable code; `values` are the numbers it compared."""

    rule: str
    allowed: bool
    code: str
    message: str
    values: dict[str, Any] = field(default_factory=dict)


Check = Callable[[Proposal], Verdict]


def known(value: Decimal | None) -> bool:
    """True for a finite number; NaN and infinity are no more known than nothing at all."""
    return value is not None and value.is_finite()


def verdict(rule: str, *, allowed: bool, code: str, message: str, **values: object) -> Verdict:
    """Build a verdict; numbers are kept as text, so that nothing is rounded."""
    shown = {name: None if value is None else str(value) for name, value in values.items()}
    return Verdict(rule.rpartition(".")[2], allowed, "" if allowed else code, message, shown)
