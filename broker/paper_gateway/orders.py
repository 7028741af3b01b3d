"""An order as the exchange keeps it: what was asked for, how far it is, and what it would do at a price."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from .types import OrderStatus, OrderTerms, OrderView

ZERO = Decimal(0)
REDUCE = 3
CANCEL_REST = 1
TERMINAL: frozenset[OrderStatus] = frozenset({"Filled", "Cancelled", "Inactive"})

STOPS = frozenset({"STP", "STP LMT", "TRAIL", "TRAIL LIMIT"})
TOUCHES = frozenset({"MIT", "LIT"})
TRAILS = frozenset({"TRAIL", "TRAIL LIMIT"})
CLOSING = frozenset({"MOC", "LOC"})
UNPRICED = frozenset({"MKT", "MOC"})
MARKET_ONCE_TRIGGERED = frozenset({"STP", "TRAIL", "MIT"})
AT_ONCE = frozenset({"IOC", "FOK"})


@dataclass(slots=True)
class Order:
    """`since`: prices before it are not met. `reduced`: shares that fills in its group have taken off it.

    `held_until`: when it may begin to trade. `stop` and `limit` of a trailing order are where they stand now.
    `locating`: held until there are shares to borrow.
    """

    terms: OrderTerms
    perm_id: int
    placed_at: datetime
    since: datetime
    status: OrderStatus = "Parked"
    parent_perm_id: int = 0
    expires_at: datetime | None = None
    held_until: datetime | None = None
    filled: Decimal = ZERO
    value: Decimal = ZERO
    commission: Decimal = ZERO
    last_price: Decimal | None = None
    reduced: Decimal = ZERO
    triggered: bool = False
    stop: Decimal | None = None
    limit: Decimal | None = None
    locating: bool = False
    why_held: str = ""
    completed_at: datetime | None = None
    completed_status: str = ""
    taken_from: int = 0
    taken: Decimal = ZERO

    @property
    def key(self) -> tuple[int, int]:
        return (self.terms.client_id, self.terms.order_id)

    @property
    def is_buy(self) -> bool:
        return self.terms.action == "BUY"

    @property
    def is_live(self) -> bool:
        return self.status not in TERMINAL

    @property
    def quantity(self) -> Decimal:
        return self.terms.quantity - self.reduced

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def waits_for_trigger(self) -> bool:
        return not self.triggered and (self.terms.order_type in STOPS or self.terms.order_type in TOUCHES)

    @property
    def is_market(self) -> bool:
        """Trades at any price now: a market order, or a stop that has been touched."""
        kind = self.terms.order_type
        return kind in UNPRICED or (self.triggered and kind in MARKET_ONCE_TRIGGERED)

    @property
    def at_auction(self) -> bool:
        """Trades in one auction only, at `expires_at`: the opening one (OPG) or the closing one (MOC, LOC)."""
        return self.terms.tif == "OPG" or self.terms.order_type in CLOSING

    @property
    def ends_at_once(self) -> bool:
        """What the first prices it meets do not fill is cancelled."""
        return self.terms.tif in AT_ONCE

    @property
    def level(self) -> Decimal:
        """The price it acts at now: the stop it waits for, else its limit."""
        terms = self.terms
        if self.waits_for_trigger:
            level = self.stop if terms.order_type in TRAILS else terms.aux_price
        else:
            level = self.limit if self.limit is not None else terms.limit_price
        if level is None:
            raise ValueError(f"order {self.perm_id} has no price")
        return level

    @property
    def average_price(self) -> Decimal | None:
        """To eight decimals, without trailing zeros."""
        if not self.filled:
            return None
        price = (self.value / self.filled).quantize(Decimal("1E-8"))
        return price.normalize() if price % 1 else price.quantize(Decimal(1))

    @property
    def group(self) -> str:
        """The one-cancels-all group in force: children form the group of their parent."""
        return str(self.parent_perm_id) if self.parent_perm_id else self.terms.oca_group

    @property
    def group_type(self) -> int:
        return REDUCE if self.parent_perm_id else self.terms.oca_type or REDUCE

    def left_in(self, tag: int, capacity: Decimal) -> Decimal:
        """How much of the `capacity` of the bar or beat `tag` this order may still take."""
        return capacity - self.taken if self.taken_from == tag else capacity

    def take(self, tag: int, shares: Decimal) -> None:
        self.taken = (self.taken if self.taken_from == tag else ZERO) + shares
        self.taken_from = tag

    def view(self) -> OrderView:
        terms = self.terms
        if self.reduced or self.group or self.stop is not None:
            terms = self._shown_terms()
        return OrderView(
            terms=terms,
            perm_id=self.perm_id,
            parent_perm_id=self.parent_perm_id,
            status=self.status,
            filled=self.filled,
            remaining=self.remaining,
            avg_fill_price=self.average_price,
            last_fill_price=self.last_price,
            why_held=self.why_held,
            placed_at=self.placed_at,
            completed_at=self.completed_at,
            completed_status=self.completed_status,
        )

    def _shown_terms(self) -> OrderTerms:
        shown = replace(self.terms, quantity=self.quantity)
        if self.group:
            shown = replace(shown, oca_group=self.group, oca_type=self.group_type)
        if self.stop is not None:
            limit = shown.limit_price if self.limit is None else self.limit
            shown = replace(shown, trail_stop_price=self.stop, limit_price=limit)
        return shown
