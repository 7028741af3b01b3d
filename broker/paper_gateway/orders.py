"""An order as the exchange keeps it, and the book that finds orders by id, family and group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from .types import OrderStatus, OrderTerms, OrderView

ZERO = Decimal(0)
REDUCE = 3
CANCEL_REST = 1
TERMINAL: frozenset[OrderStatus] = frozenset({"Filled", "Cancelled", "Inactive"})


@dataclass(slots=True)
class Order:
    """`since`: prices before it are not met. `reduced`: shares that fills in its group have taken off it."""

    terms: OrderTerms
    perm_id: int
    placed_at: datetime
    since: datetime
    status: OrderStatus = "Parked"
    parent_perm_id: int = 0
    expires_at: datetime | None = None
    filled: Decimal = ZERO
    value: Decimal = ZERO
    commission: Decimal = ZERO
    last_price: Decimal | None = None
    reduced: Decimal = ZERO
    triggered: bool = False
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
    def is_market(self) -> bool:
        """Trades at any price now: a market order, or a stop that has been touched."""
        return self.terms.order_type == "MKT" or self.triggered

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
        shown = replace(self.terms, quantity=self.quantity)
        if self.group:
            shown = replace(shown, oca_group=self.group, oca_type=self.group_type)
        return OrderView(
            terms=shown,
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


class OrderBook:
    """Every order ever taken; the live ones (parked ones among them) in the order they came."""

    def __init__(self) -> None:
        self._by_perm_id: dict[int, Order] = {}
        self._by_key: dict[tuple[int, int], Order] = {}
        self._live: dict[int, Order] = {}
        self._filled_groups: set[str] = set()

    def add(self, order: Order) -> None:
        self._by_perm_id[order.perm_id] = order
        self._by_key[order.key] = order
        self._live[order.perm_id] = order
        self.settle(order)

    def settle(self, order: Order) -> None:
        """Take an order that has ended out of the live ones."""
        if order.is_live:
            return
        self._live.pop(order.perm_id, None)
        if order.status == "Filled" and order.group:
            self._filled_groups.add(order.group)

    def find(self, client_id: int, order_id: int) -> Order | None:
        return self._by_key.get((client_id, order_id))

    def by_perm_id(self, perm_id: int) -> Order:
        return self._by_perm_id[perm_id]

    def all(self) -> Iterator[Order]:
        return iter(self._by_perm_id.values())

    def live(self) -> list[Order]:
        return list(self._live.values())

    def working(self) -> list[Order]:
        return [order for order in self._live.values() if order.status != "Parked"]

    def children(self, parent: Order) -> list[Order]:
        return [order for order in self._live.values() if order.parent_perm_id == parent.perm_id]

    def group_mates(self, order: Order) -> list[Order]:
        if not order.group:
            return []
        return [mate for mate in self.working() if mate.group == order.group and mate is not order]

    def group_is_filled(self, group: str) -> bool:
        return group in self._filled_groups

    def workable(self, order: Order) -> Decimal:
        """Shares this order may trade now: a child no more than its parent has filled and its group has left over."""
        if order.status == "Parked":
            return ZERO
        if not order.parent_perm_id:
            return order.remaining
        opened = self._by_perm_id[order.parent_perm_id].filled - order.reduced
        return max(ZERO, min(order.quantity, opened) - order.filled)
