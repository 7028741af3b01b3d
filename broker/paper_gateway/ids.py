"""Order ids of each client: they only rise, also over restarts."""

from __future__ import annotations

FIRST_ORDER_ID = 1


class OrderIds:
    """Knows the next id of each client. An id that was only noted may still be used once."""

    def __init__(self, next_ids: dict[int, int]) -> None:
        self._next = dict(next_ids)
        self._noted: dict[int, int] = {}
        self.changed: dict[int, int] = {}

    def next(self, client_id: int) -> int:
        return self._next.get(client_id, FIRST_ORDER_ID)

    def note(self, client_id: int, order_id: int) -> None:
        if order_id >= self.next(client_id):
            self._next[client_id] = self.changed[client_id] = order_id + 1
            self._noted[client_id] = order_id

    def use(self, client_id: int, order_id: int) -> bool:
        """Claim an id for a new order; False where it is below what this client was shown or has used."""
        if order_id < self.next(client_id) and self._noted.get(client_id) != order_id:
            return False
        self.note(client_id, order_id)
        self._noted.pop(client_id, None)
        return True
