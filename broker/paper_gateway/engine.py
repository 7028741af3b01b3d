"""The order state machine: taking, releasing, filling, reducing and ending orders; says what happened as events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from zlib import crc32

from . import trailing
from .book import OrderBook
from .ledger import ZERO, Holding, Ledger
from .orders import CANCEL_REST, UNPRICED, Order
from .prices.calendar import eastern_day, instant, midnight
from .tariff import Tariff
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


@dataclass(frozen=True, slots=True)
class Life:
    """When an order may begin to trade, if it has to wait, and when it ends, if it does."""

    expires_at: datetime | None
    held_until: datetime | None = None


class Booked(NamedTuple):
    """One execution and what it cost."""

    execution: Execution
    commission: Commission


class Opening(NamedTuple):
    """What was held of a contract before its first execution of a day in US/Eastern."""

    day: date
    held: Holding


class Engine:
    """Changes orders and the ledger together. `emit` takes events; `changed` holds what a store must write."""

    def __init__(
        self, account: str, book: OrderBook, ledger: Ledger, tariff: Tariff, emit: Callable[[EngineEvent], None]
    ) -> None:
        self.account = account
        self.book = book
        self.ledger = ledger
        self.tariff = tariff
        self.executions: dict[int, Booked] = {}
        self.openings: dict[int, Opening] = {}
        self.next_execution = 1
        self.changed: dict[int, Order] = {}
        self.changed_executions: dict[int, Booked] = {}
        self.next_perm_id = 1_000_000_001
        self._emit = emit

    def take(self, terms: OrderTerms, parent: Order | None, at: datetime, life: Life) -> Order:
        """Put a new order into the book, parked and unseen."""
        order = Order(
            terms=replace(terms, account=self.account, tif=terms.tif or "DAY"),
            perm_id=self.next_perm_id,
            placed_at=at,
            since=at,
            parent_perm_id=parent.perm_id if parent else 0,
            expires_at=life.expires_at,
            held_until=life.held_until,
        )
        self.next_perm_id += 1
        self.book.add(order)
        self.touch(order)
        return order

    def release(self, order: Order, at: datetime) -> None:
        """A parked order starts to work, or to wait for its parent, its time or shares to borrow."""
        order.since = at if order.held_until is None else max(at, order.held_until)
        order.status = "PreSubmitted"
        self._show(order)

    def wake(self, order: Order) -> None:
        """The time has come that an order was held for."""
        order.held_until = None
        self._show(order)

    def locate(self, order: Order, *, found: bool) -> None:
        """A short sale has to wait for shares to borrow, or there are enough of them now."""
        order.locating = not found
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

    def change(self, order: Order, terms: OrderTerms, at: datetime, life: Life) -> None:
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
        order.expires_at = life.expires_at
        if life.held_until != order.held_until:
            order.held_until = life.held_until
            order.since = life.held_until or at
        elif (quantity, terms.limit_price, terms.aux_price) != (old.quantity, old.limit_price, old.aux_price):
            order.since = max(at, order.held_until or at)
        if order.remaining > 0:
            self._show(order)
            return
        self._end(order, "Filled", at, f"Filled Size: {order.filled}")
        self._emit(OrderChanged(order.view()))

    def trigger(self, order: Order) -> None:
        """A stop was touched: from now on it trades like a market or a limit order."""
        if order.waits_for_trigger:
            order.triggered = True
            self._show(order)

    def follow(self, order: Order, price: Decimal, tick: Decimal) -> None:
        """Let a trailing stop follow the market; it is shown when somebody asks."""
        if trailing.follow(order, price, tick):
            self.touch(order)

    def fill(self, order: Order, shares: Decimal, price: Decimal, at: datetime, spec: SymbolSpec) -> None:
        """Book one execution with all that follows from it: commission, children, group."""
        self._note_opening(spec.con_id, eastern_day(at))
        before = order.commission
        order.filled += shares
        order.value += shares * price
        order.last_price = price
        order.commission = max(before, self.tariff.commission(spec, order.filled, order.value))
        commission = self.book_trade(spec, shares if order.is_buy else -shares, price, order.commission - before)
        if order.remaining > 0:
            order.status, order.why_held = "Submitted", ""
            self.touch(order)
        else:
            self._end(order, "Filled", at, f"Filled Size: {order.filled}")
        self._report(order, shares, price, at, spec, commission)
        self._follow(order, shares, price, at, spec)

    def book_trade(self, spec: SymbolSpec, shares: Decimal, price: Decimal, commission: Decimal) -> Commission:
        """Book cash and holding of a fill; what it cost and brought, still without the id of an execution."""
        realized = self.ledger.book(spec, self.tariff.trade(spec, shares, price, commission))
        return self.cost(spec, commission, realized)

    def cost(self, spec: SymbolSpec, commission: Decimal, realized: Decimal | None) -> Commission:
        """What an execution cost and brought, as it is told; `realized` in the contract's currency."""
        if realized is not None:
            realized = self.tariff.told(spec, realized).quantize(FRACTION_OF_CENT)
        return Commission("", commission, self.tariff.currency(spec), realized)

    def _note_opening(self, con_id: int, day: date) -> None:
        """Remember what a day began with: the executions of the day can be taken back."""
        known = self.openings.get(con_id)
        if known is None or known.day != day:
            self.openings[con_id] = Opening(day, replace(self.ledger.holdings.get(con_id, Holding(ZERO, ZERO))))

    def settle(self, spec: SymbolSpec, price: Decimal) -> None:
        """Close a holding in cash, without an order, an execution or a commission."""
        self.book_trade(spec, -self.ledger.quantity(spec.con_id), price, Decimal(0))
        self._emit(AccountChanged(self.account, (spec.con_id,)))

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

    def _follow(self, order: Order, shares: Decimal, price: Decimal, at: datetime, spec: SymbolSpec) -> None:
        """What a fill does to the children of the order and to its group."""
        for child in self.book.children(order):
            if order.filled == shares:  # until the parent traded there was nothing to protect
                trailing.begin(child, price, spec.min_tick)
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
            self.touch(child)
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
        self.touch(order)
        self._emit(OrderChanged(order.view()))

    def _standing(self, order: Order) -> tuple[OrderStatus, str]:
        waits = order.waits_for_trigger
        if order.parent_perm_id and self.book.by_perm_id(order.parent_perm_id).filled == 0:
            return "PreSubmitted", "child,trigger" if waits else "child"
        if order.locating:
            return "PreSubmitted", "locate"
        if waits:
            return "PreSubmitted", "trigger"
        is_held = order.held_until is not None or order.at_auction
        if order.filled == 0 and (is_held or order.terms.order_type in UNPRICED):
            return "PreSubmitted", ""
        return "Submitted", ""

    def _end(self, order: Order, status: OrderStatus, at: datetime, text: str) -> None:
        order.status, order.why_held = status, ""
        order.completed_at, order.completed_status = at, text
        self.book.settle(order)
        self.touch(order)

    def _report(
        self, order: Order, shares: Decimal, price: Decimal, at: datetime, spec: SymbolSpec, cost: Commission
    ) -> None:
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
            avg_price=order.average_price or price,
            order_ref=order.terms.order_ref,
            last_liquidity=LIQUIDITY_REMOVED,
        )
        number, self.next_execution = self.next_execution, self.next_execution + 1
        self.tell_execution(number, order, execution, replace(cost, exec_id=execution.exec_id))

    def tell_execution(self, number: int, order: Order, execution: Execution, cost: Commission) -> None:
        """Keep an execution under its number and tell it, its order and its cost."""
        self.executions[number] = self.changed_executions[number] = Booked(execution, cost)
        view = order.view()
        self._emit(Executed(view, execution))
        self._emit(OrderChanged(view))
        self._emit(CommissionReported(order.terms.client_id, cost))
        self._emit(AccountChanged(self.account, (execution.con_id,)))

    def _exec_id(self) -> str:
        """Unique for ever in this account: the account, then a running number."""
        return f"{crc32(self.account.encode()):08x}.{self.next_execution:08x}.01.01"

    def forget_executions(self, before: datetime) -> None:
        """Let go of executions of days that are over; the store has them."""
        for number in [n for n, booked in self.executions.items() if booked.execution.time < before]:
            if number not in self.changed_executions:
                del self.executions[number]
        for con_id in [c for c, opening in self.openings.items() if instant(midnight(opening.day)) < before]:
            del self.openings[con_id]

    def touch(self, order: Order) -> None:
        """Have the store write this order."""
        self.changed[order.perm_id] = order
