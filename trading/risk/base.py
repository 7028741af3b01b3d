"""What a rule is given and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeGuard

from trading.models import Instrument, RiskProfile, Strategy
from trading.selectors.desk_state import DeskState
from trading.selectors.ledger import Ledger

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order as it would be sent, with everything the rules may look at; None = not known.

    `purpose` is entry, exit or change (of a working order of ours, whose `role` stands beside it). `price` is what
    would be paid or received now (ask or bid), `limit_price` the worst price the order allows (None at the market),
    `close` the last session's. `position` was held when it was decided; what is held now stands in the ledger.
    `funds_in_flight` is what entries have bought since the account's figures were read; `group` is the bracket that an
    order of ours belongs to already, and `pending` what its entry may still fill. `source` is decision or request,
    `intended` a double on purpose; `must_be_approved`: who asks may only propose. Money is in the base currency;
    `sending` is true of the judgement under the lock.
    """

    purpose: str
    side: str
    order_type: str
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    account: str
    strategy: Strategy | None
    instrument: Instrument
    symbol: str
    con_id: int | None
    currency: str
    base_currency: str
    tick: Decimal | None
    lot: Decimal | None
    price: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    close: Decimal | None
    quote_at: datetime | None
    claimed_price: Decimal | None
    reward_ratio: Decimal | None
    profit_margin: Decimal | None
    decided_at: datetime | None
    market_now: datetime
    day_began: datetime
    position: Decimal
    equity: Decimal | None
    available_funds: Decimal | None
    funds_in_flight: Decimal
    allowed_con_ids: frozenset[int]
    restricted_con_ids: frozenset[int]
    allow_short: bool
    limits: RiskProfile
    ledger: Ledger
    desk: DeskState
    role: str = "entry"
    source: str = "decision"
    group: str = ""
    intended: bool = False
    must_be_approved: bool = False
    halted: bool = False
    sending: bool = False
    pending: Decimal = ZERO

    @property
    def reduces(self) -> bool:
        """True where it can only reduce a position: an exit, or a change of what closes one."""
        return self.purpose == "exit" or (self.purpose == "change" and self.role != "entry")

    @property
    def leaves(self) -> bool:
        """False where no frame comes of it: orders are disabled, or we fill it ourselves in a shadow ledger."""
        return self.desk.sends and not self.ledger.shadow

    @property
    def worst_price(self) -> Decimal | None:
        """The dearest price it may trade at: its limit, a sale's bid where that is higher, a market order's collar."""
        if self.limit_price is None:
            return None if self.price is None else self.price * (1 + self.limits.price_collar)
        return max(self.limit_price, self.price) if self.side == "SELL" and known(self.price) else self.limit_price

    @property
    def value(self) -> Decimal | None:
        """What it costs at most, in the base currency."""
        price = self.worst_price
        return None if price is None else self.quantity * price


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's word: allowed, or a stable code; `values` are the numbers it compared."""

    rule: str
    allowed: bool
    code: str
    message: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> list[str]:
        """Every code that was found, the one that counts first; none where the rule allows."""
        return [] if self.allowed else str(self.values.get("codes", self.code)).split(", ")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a rule found wrong."""

    code: str
    message: str


Check = Callable[[Proposal], Verdict]


def known(value: Decimal | None) -> TypeGuard[Decimal]:
    """True for a finite number; NaN and infinity are no more known than nothing at all."""
    return value is not None and value.is_finite()


def plain(value: Decimal | None) -> str:
    """A number as people write it: without the zeros that the database keeps."""
    return f"{value.normalize():f}" if known(value) else str(value)


def verdict(rule: str, *, allowed: bool, code: str, message: str, **values: object) -> Verdict:
    """Build a verdict; numbers are kept as text, so that nothing is rounded."""
    shown = {name: None if value is None else str(value) for name, value in values.items()}
    return Verdict(rule.rpartition(".")[2], allowed, "" if allowed else code, message, shown)


def judged(rule: str, findings: Iterable[Finding | None], *, sound: str, **values: object) -> Verdict:
    """The verdict of a rule that looks at several things: the first finding gives the code, all give the message.

    `sound` is the message where nothing was found; more than one code is kept in the values as `codes`.
    """
    found = [finding for finding in findings if finding is not None]
    if len(found) > 1:
        values["codes"] = ", ".join(finding.code for finding in found)
    return verdict(
        rule,
        allowed=not found,
        code=found[0].code if found else "",
        message="; ".join(finding.message for finding in found) or sound,
        **values,
    )
