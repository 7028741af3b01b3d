"""The order state machine: taking, releasing, filling, reducing and ending orders; says what happened as events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from zlib import crc32

from . import economics
from .ledger import Ledger
from .orders import CANCEL_REST, Order, OrderBook
from .types import (
    AccountChanged,
    Commission,
    CommissionReported,
    EngineEvent,
    Executed,
    Execution,
    OrderChanged,
    OrderRefused,
    OrderStatus,
    OrderTerms,
    SymbolSpec,
)

LIQUIDITY_REMOVED = 2
FRACTION_OF_CENT = Decimal("0.000001")


class Engine:
    """Changes orders and the ledger together. `emit` takes events; `changed` holds what a store must write."""

    def __init__(self, account: str, book: OrderBook, ledger: Ledger, emit: Callable[[EngineEvent], None]) -> None:
        self.account = account
        self.book = book
        self.ledger = ledger
        self.executions: list[tuple[Execution, Commission]] = []
        self.changed: dict[int, Order] = {}
        self.new_executions: list[tuple[Execution, Commission]] = []
        self.next_perm_id = 1_000_000_001
        self._emit = emit

    def take(self, terms: OrderTerms, parent: Order | None, at: datetime, expires_at: datetime | None) -> Order:
        """Put a new order into the book, parked and unseen."""
        order = Order(
            terms=replace(terms, account=self.account, tif=terms.tif or "DAY"),
            perm_id=self.next_perm_id,
            placed_at=at,
            since=at,
            parent_perm_id=parent.perm_id if parent else 0,
            expires_at=expires_at,
        )
        self.next_perm_id += 1
        self.book.add(order)
        self._touch(order)
        return order

    def release(self, order: Order, at: datetime) -> None:
        """A parked order starts to work, or to wait for its parent."""
        order.since, order.status = at, "PreSubmitted"
        self._show(order)

    def refuse(self, terms: OrderTerms, code: int, message: str) -> None:
        self._emit(OrderRefused(terms.client_id, terms.order_id, code, message))

    def reject(self, order: Order, code: int, message: str, at: datetime) -> None:
        """The market does not take an order: error first, then Inactive; its children end with it."""
        self.refuse(order.terms, code, message)
        self._end(order, "Inactive", at, message)
        self._emit(OrderChanged(order.view()))
        for child in self.book.children(order):
            self.cancel(child, at, "the parent order was rejected")

    def change(self, order: Order, terms: OrderTerms, at: datetime, expires_at: datetime | None) -> None:
        """New prices, quantity or times for a live order; the same total as first asked for means no change of size."""
        old = order.terms
        quantity = terms.quantity if terms.quantity == old.quantity else terms.quantity + order.reduced
        order.terms = replace(
            terms,
            account=self.account,
            tif=terms.tif or "DAY",
            quantity=quantity,
            oca_group=old.oca_group,
            oca_type=old.oca_type,
            parent_id=old.parent_id,
        )
        order.expires_at = expires_at
        if (quantity, terms.limit_price, terms.aux_price) != (old.quantity, old.limit_price, old.aux_price):
            order.since = at
        if order.remaining > 0:
            self._show(order)
            return
        self._end(order, "Filled", at, f"Filled Size: {order.filled}")
        self._emit(OrderChanged(order.view()))

    def trigger(self, order: Order) -> None:
        """A stop was touched: from now on it trades like a market order."""
        if order.terms.order_type == "STP" and not order.triggered:
            order.triggered = True
            self._show(order)

    def fill(self, order: Order, shares: Decimal, price: Decimal, at: datetime, spec: SymbolSpec) -> None:
        """Book one execution with all that follows from it: commission, children, group."""
        before = order.commission
        order.filled += shares
        order.value += shares * price
        order.last_price = price
        order.commission = economics.commission(order.filled, order.value)
        signed = shares if order.is_buy else -shares
        realized = self.ledger.book(spec.con_id, signed, price, order.commission - before)
        if order.remaining > 0:
            order.status, order.why_held = "Submitted", ""
            self._touch(order)
        else:
            self._end(order, "Filled", at, f"Filled Size: {order.filled}")
        self._report(order, shares, price, at, spec, Commission("", order.commission - before, "USD", realized))
        self._follow(order, shares, at)

    def cancel(self, order: Order, at: datetime, reason: str = "", status_text: str = "Cancelled by Trader") -> None:
        """End a live order; its children end too, or shrink to what it has filled."""
        self._end(order, "Cancelled", at, status_text)
        self._emit(OrderChanged(order.view()))
        self.refuse(order.terms, 202, f"Order Canceled - reason:{reason}")
        for child in self.book.children(order):
            if order.filled == 0:
                self.cancel(child, at, "the parent order was cancelled")
            elif child.terms.quantity > order.filled:
                child.terms = replace(child.terms, quantity=order.filled)
                self._settle_shrunk(child, at)

    def _follow(self, order: Order, shares: Decimal, at: datetime) -> None:
        """What a fill does to the children of the order and to its group."""
        for child in self.book.children(order):
            self._show(child)
        for mate in self.book.group_mates(order):
            if not mate.is_live:
                continue
            if order.group_type != CANCEL_REST:
                mate.reduced += min(shares, mate.remaining)
            if order.group_type == CANCEL_REST or mate.remaining <= 0:
                self.cancel(mate, at, f"OCA group {order.group}")
            else:
                self._show(mate)

    def _settle_shrunk(self, child: Order, at: datetime) -> None:
        """A child whose size became what its parent has filled: it works on, has done its part, or has nothing left."""
        if child.remaining > 0:
            self._touch(child)
            self._show(child)
        elif child.filled:
            self._end(child, "Filled", at, f"Filled Size: {child.filled}")
            self._emit(OrderChanged(child.view()))
        else:
            self.cancel(child, at, "nothing is left of the parent order")

    def _show(self, order: Order) -> None:
        """Work out the status of a live order and tell it; a parked one stays unseen."""
        if order.status == "Parked":
            return
        order.status, order.why_held = self._standing(order)
        self._touch(order)
        self._emit(OrderChanged(order.view()))

    def _standing(self, order: Order) -> tuple[OrderStatus, str]:
        waits_for_trigger = order.terms.order_type == "STP" and not order.triggered
        if order.parent_perm_id and self.book.by_perm_id(order.parent_perm_id).filled == 0:
            return "PreSubmitted", "child,trigger" if waits_for_trigger else "child"
        if waits_for_trigger:
            return "PreSubmitted", "trigger"
        if order.terms.order_type == "MKT" and order.filled == 0:
            return "PreSubmitted", ""
        return "Submitted", ""

    def _end(self, order: Order, status: OrderStatus, at: datetime, text: str) -> None:
        order.status, order.why_held = status, ""
        order.completed_at, order.completed_status = at, text
        self.book.settle(order)
        self._touch(order)

    def _report(
        self, order: Order, shares: Decimal, price: Decimal, at: datetime, spec: SymbolSpec, cost: Commission
    ) -> None:
        view = order.view()
        execution = Execution(
            exec_id=self._exec_id(),
            client_id=order.terms.client_id,
            order_id=order.terms.order_id,
            perm_id=order.perm_id,
            con_id=spec.con_id,
            symbol=spec.symbol,
            time=at,
            account=self.account,
            exchange=spec.primary_exchange,
            side="BOT" if order.is_buy else "SLD",
            shares=shares,
            price=price,
            cum_qty=order.filled,
            avg_price=view.avg_fill_price or price,
            order_ref=order.terms.order_ref,
            last_liquidity=LIQUIDITY_REMOVED,
        )
        realized = None if cost.realized_pnl is None else cost.realized_pnl.quantize(FRACTION_OF_CENT)
        cost = replace(cost, exec_id=execution.exec_id, realized_pnl=realized)
        self.executions.append((execution, cost))
        self.new_executions.append((execution, cost))
        self._emit(Executed(view, execution))
        self._emit(OrderChanged(view))
        self._emit(CommissionReported(order.terms.client_id, cost))
        self._emit(AccountChanged(self.account, (spec.con_id,)))

    def _exec_id(self) -> str:
        """Unique for ever in this account: the account, then a running number."""
        return f"{crc32(self.account.encode()):08x}.{len(self.executions) + 1:08x}.01.01"

    def _touch(self, order: Order) -> None:
        self.changed[order.perm_id] = order
