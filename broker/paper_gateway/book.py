"""The order book: finds orders by id, family, group and contract; what has ended lies in the store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from decimal import Decimal

from .orders import ZERO, Order

ENDED_KEPT = 200
Index = dict[object, dict[int, Order]]


class OrderBook:
    """The live orders (parked ones among them) in the order they came, and the last ones that ended.

    `archived` and `archived_key` read an ended order back by permanent id or by (client, order id).
    """

    def __init__(
        self,
        archived: Callable[[int], Order | None] = lambda perm_id: None,
        archived_key: Callable[[int, int], Order | None] = lambda client_id, order_id: None,
    ) -> None:
        self._archived = archived
        self._archived_key = archived_key
        self._live: dict[int, Order] = {}
        self._ended: OrderedDict[int, Order] = OrderedDict()
        self._keys: Index = {}
        self._children: Index = {}
        self._groups: Index = {}
        self._contracts: Index = {}
        self._reserves: dict[int, Decimal] = {}
        self._filled_groups: set[str] = set()
        self.reserved = ZERO

    def add(self, order: Order) -> None:
        """Take a live order in."""
        self._live[order.perm_id] = order
        for index, key in self._places(order):
            index.setdefault(key, {})[order.perm_id] = order

    def settle(self, order: Order) -> None:
        """Take an order that has ended out of the live ones."""
        if order.is_live or self._live.pop(order.perm_id, None) is None:
            return
        for index, key in self._places(order):
            members = index[key]
            del members[order.perm_id]
            if not members:
                del index[key]
        self.reserve(order, ZERO)
        self._ended[order.perm_id] = order
        if order.status == "Filled" and order.group:
            self.note_filled_group(order.group)

    def _places(self, order: Order) -> list[tuple[Index, object]]:
        places: list[tuple[Index, object]] = [(self._contracts, order.terms.con_id)]
        if order.terms.order_id:
            places.append((self._keys, order.key))
        if order.parent_perm_id:
            places.append((self._children, order.parent_perm_id))
        if order.group:
            places.append((self._groups, order.group))
        return places

    def bind(self, order: Order) -> None:
        """Let a live order that had no order id be found by the one it has now."""
        self._keys.setdefault(order.key, {})[order.perm_id] = order

    def forget_ended(self) -> None:
        """Keep only the last ended orders in memory; to be called once the store has them."""
        while len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)

    def note_filled_group(self, group: str) -> None:
        self._filled_groups.add(group)

    def reserve(self, order: Order, amount: Decimal) -> None:
        """Set aside margin (base currency) for a working order; `reserved` is the sum over all."""
        self.reserved += amount - self._reserves.pop(order.perm_id, ZERO)
        if amount:
            self._reserves[order.perm_id] = amount

    def find(self, client_id: int, order_id: int) -> Order | None:
        """The newest live order of that id, else the newest that has ended."""
        live = self._keys.get((client_id, order_id))
        if live:
            return live[max(live)]
        ended = [order for order in self._ended.values() if order.key == (client_id, order_id)]
        return max(ended, key=lambda order: order.perm_id) if ended else self._archived_key(client_id, order_id)

    def by_perm_id(self, perm_id: int) -> Order:
        """Raises KeyError for an id that was never given out."""
        order = self._live.get(perm_id) or self._ended.get(perm_id)
        if order is None:
            order = self._archived(perm_id)
            if order is None:
                raise KeyError(perm_id)
            self._ended[perm_id] = order
        return order

    def live(self) -> list[Order]:
        return list(self._live.values())

    def has_working(self) -> bool:
        return any(order.status != "Parked" for order in self._live.values())

    def working(self) -> list[Order]:
        return [order for order in self._live.values() if order.status != "Parked"]

    def working_contracts(self) -> list[int]:
        """Contracts with at least one working order."""
        return [con_id for con_id, orders in self._contracts.items() if _working(orders.values())]  # type: ignore[misc]

    def working_of(self, con_id: int) -> list[Order]:
        return _working(self._contracts.get(con_id, {}).values())

    def children(self, parent: Order) -> list[Order]:
        return list(self._children.get(parent.perm_id, {}).values())

    def group_mates(self, order: Order) -> list[Order]:
        if not order.group:
            return []
        return [mate for mate in _working(self._groups.get(order.group, {}).values()) if mate is not order]

    def group_is_filled(self, group: str) -> bool:
        return group in self._filled_groups

    def workable(self, order: Order) -> Decimal:
        """Shares this order may trade now: a child no more than its parent has filled and its group has left over."""
        if order.status == "Parked" or order.locating:
            return ZERO
        if not order.parent_perm_id:
            return order.remaining
        opened = self.by_perm_id(order.parent_perm_id).filled - order.reduced
        return max(ZERO, min(order.quantity, opened) - order.filled)


def _working(orders: Iterable[Order]) -> list[Order]:
    return [order for order in orders if order.status != "Parked"]
