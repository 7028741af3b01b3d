"""Order ids of each client: they only rise, also over restarts, unless somebody rolls them back on purpose."""

from __future__ import annotations

FIRST_ORDER_ID = 1


class OrderIds:
    """Knows the next id of each client. An id that was only noted may still be used once."""

    def __init__(self, next_ids: dict[int, int]) -> None:
        self._next = dict(next_ids)
        self._noted: dict[int, int] = {}
        self._rolled_from: dict[int, int] = {}
        self.changed: dict[int, int] = {}

    def next(self, client_id: int) -> int:
        return self._next.get(client_id, FIRST_ORDER_ID)

    def is_new(self, client_id: int, order_id: int) -> bool:
        """Whether no order of this client can have the id: it lies at or above the next one."""
        return order_id >= self.next(client_id)

    def note(self, client_id: int, order_id: int) -> None:
        """The client was shown an id. One from before a roll-back does not count: that is what was forgotten."""
        if order_id >= self.next(client_id) and order_id >= self._rolled_from.get(client_id, 0):
            self._raise(client_id, order_id)
            self._noted[client_id] = order_id

    def use(self, client_id: int, order_id: int) -> bool:
        """Claim an id for a new order; False where it is below what this client was shown or has used."""
        if order_id < self.next(client_id) and self._noted.get(client_id) != order_id:
            return False
        if order_id >= self.next(client_id):
            self._raise(client_id, order_id)
        self._noted.pop(client_id, None)
        return True

    def roll_back(self, client_id: int, to: int) -> None:
        """Forget that ids from `to` on were used; raises ValueError where that is no step back."""
        present = self.next(client_id)
        if not FIRST_ORDER_ID <= to <= present:
            raise ValueError(f"client {client_id} stands at order id {present} and cannot go back to {to}")
        self._rolled_from[client_id] = max(present, self._rolled_from.get(client_id, 0))
        self._next[client_id] = self.changed[client_id] = to
        self._noted.pop(client_id, None)

    def _raise(self, client_id: int, order_id: int) -> None:
        self._next[client_id] = self.changed[client_id] = order_id + 1
