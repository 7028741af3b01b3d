"""Orders a person enters at the trading platform: client 0 sees them, and may bind them to order ids of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from .engine import Engine
from .intake import Intake
from .keeper import Keeper
from .orders import Order
from .types import EngineEvent, OrderBound, OrderChanged, OrderTerms

MANUAL_CLIENT = 0
UNBOUND = 0


class ManualOrders:
    """Unbound orders have order id 0; bound ones get ids below 0, counting down and never again the same."""

    def __init__(self, engine: Engine, intake: Intake, keeper: Keeper, emit: Callable[[EngineEvent], None]) -> None:
        self._engine = engine
        self._intake = intake
        self._keeper = keeper
        self._emit = emit
        self.binds_new = False

    def place(self, terms: OrderTerms, now: datetime) -> list[Order]:
        """Enter an order as a person does; client, id and reference of the terms do not count."""
        terms = replace(terms, client_id=MANUAL_CLIENT, order_id=UNBOUND, order_ref="", parent_id=0)
        ready = self._intake.enter(terms, now)
        if self.binds_new:
            self.bind()
        return ready

    def bind(self) -> None:
        """Give every unbound order an id of client 0 and tell it."""
        for order in self._engine.book.working():
            if order.terms.client_id == MANUAL_CLIENT and order.terms.order_id == UNBOUND:
                order.terms = replace(order.terms, order_id=self._keeper.next_bound_id)
                self._keeper.next_bound_id -= 1
                self._engine.book.bind(order)
                self._engine.touch(order)
                self._emit(OrderBound(order.perm_id, MANUAL_CLIENT, order.terms.order_id))
                self._emit(OrderChanged(order.view()))
