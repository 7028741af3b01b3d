"""Takes what clients ask for - new orders, changes, cancels, previews - checks it and hands it to the engine."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime
from decimal import Decimal

from .account import Valuation
from .checks import Refusal, check_change, check_terms, refuse_ended, rejected
from .engine import Engine
from .ids import OrderIds
from .orders import Order
from .types import GatewayError, OrderChanged, OrderTerms, Preview, SymbolSpec


class Intake:
    """`expiry_of` gives the end of the session a DAY order lives in; `has_price` tells whether a contract can trade."""

    def __init__(
        self,
        *,
        engine: Engine,
        ids: OrderIds,
        valuation: Valuation,
        spec_of: Callable[[int], SymbolSpec | None],
        has_price: Callable[[int], bool],
        expiry_of: Callable[[int, datetime], datetime],
        emit: Callable[[OrderChanged], None],
    ) -> None:
        self._engine = engine
        self._book = engine.book
        self._ids = ids
        self._valuation = valuation
        self._spec_of = spec_of
        self._has_price = has_price
        self._expiry_of = expiry_of
        self._emit = emit

    def submit(self, terms: OrderTerms, now: datetime) -> list[Order]:
        """Take a new order or a change of one; returns the orders that may trade from now on."""
        known = self._book.find(terms.client_id, terms.order_id)
        if known is not None:
            return self._modify(known, terms, now)
        if not self._ids.use(terms.client_id, terms.order_id):
            self._engine.refuse(terms, 103, "Duplicate order id")
            return []
        refusal = self._check_new(terms)
        if refusal is not None:
            self._engine.refuse(terms, *refusal)
            return []
        order = self._engine.take(terms, self._parent(terms), now, self._expiry(terms, now))
        return self._release(order, now) if terms.transmit else []

    def cancel(self, client_id: int, order_id: int, now: datetime) -> Refusal | None:
        order = self._book.find(client_id, order_id)
        if order is None:
            return Refusal(10147, f"OrderId {order_id} that needs to be cancelled is not found.")
        if not order.is_live:
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {order.status}."
            return Refusal(10148, text)
        self._engine.cancel(order, now)
        return None

    def cancel_all(self, now: datetime) -> None:
        for order in self._book.live():
            if order.is_live:
                self._engine.cancel(order, now)

    def preview(self, terms: OrderTerms, now: datetime) -> Preview:
        """Raises GatewayError where the order would be refused for its terms."""
        self._ids.note(terms.client_id, terms.order_id)
        refusal = check_terms(terms, self._spec_of(terms.con_id), self._engine.account)
        if refusal is None and not self._has_price(terms.con_id):
            refusal = rejected(f"no market data for {terms.symbol}")
        if refusal is not None:
            raise GatewayError(*refusal)
        return self._valuation.preview(Order(terms=terms, perm_id=0, placed_at=now, since=now))

    def _check_new(self, terms: OrderTerms) -> Refusal | None:
        refusal = check_terms(terms, self._spec_of(terms.con_id), self._engine.account)
        if refusal is None and terms.parent_id and self._parent(terms) is None:
            return Refusal(10006, "Missing parent order.")
        return refusal

    def _parent(self, terms: OrderTerms) -> Order | None:
        return self._book.find(terms.client_id, terms.parent_id) if terms.parent_id else None

    def _expiry(self, terms: OrderTerms, now: datetime) -> datetime | None:
        return None if terms.tif == "GTC" else self._expiry_of(terms.con_id, now)

    def _release(self, order: Order, now: datetime) -> list[Order]:
        """Set an order to work; a child takes its parked parent and siblings along."""
        family = {order.perm_id: order}
        if order.parent_perm_id:
            parent = self._book.by_perm_id(order.parent_perm_id)
            family |= {member.perm_id: member for member in (parent, *self._book.children(parent))}
        parked = [member for _, member in sorted(family.items()) if member.status == "Parked"]
        for member in parked:
            if member.is_live:
                self._admit(member, now)
        return [member for member in parked if member.is_live]

    def _admit(self, order: Order, now: datetime) -> None:
        reason = self._objection(order)
        if reason:
            self._engine.reject(order, *rejected(reason), now)
        else:
            self._engine.release(order, now)

    def _objection(self, order: Order) -> str:
        """Why the market does not take an order whose terms are in order; empty where it does."""
        if not self._has_price(order.terms.con_id):
            return f"no market data for {order.terms.symbol}"
        if order.group and self._book.group_is_filled(order.group):
            return f"OCA group {order.group} is already filled"
        if order.parent_perm_id:
            parent = self._book.by_perm_id(order.parent_perm_id)
            return "the parent order has ended" if not parent.is_live and not parent.filled else ""
        return self._margin_objection(order)

    def _margin_objection(self, order: Order) -> str:
        missing = self._valuation.shortfall(order)
        if missing <= 0:
            return ""
        available = self._valuation.margins().available
        cents = Decimal("0.01")
        return (
            f"available funds of {available.quantize(cents)} USD do not cover the initial margin of this order "
            f"and the working ones, {missing.quantize(cents)} USD are missing"
        )

    def _modify(self, order: Order, terms: OrderTerms, now: datetime) -> list[Order]:
        refusal = refuse_ended(order) if not order.is_live else self._check_change(order, terms)
        if refusal is not None:
            self._engine.refuse(terms, *refusal)
            return []
        if order.status == "Parked":
            self._engine.change(order, terms, now, self._expiry(terms, now))
            return self._release(order, now) if terms.transmit else []
        if not terms.transmit:
            return []  # an untransmitted change waits at the client's desk; the old terms go on working
        return self._apply(order, terms, now)

    def _check_change(self, order: Order, terms: OrderTerms) -> Refusal | None:
        return check_change(order, terms) or check_terms(terms, self._spec_of(terms.con_id), self._engine.account)

    def _apply(self, order: Order, terms: OrderTerms, now: datetime) -> list[Order]:
        changed = copy(order)
        changed.terms = terms
        objection = "" if order.parent_perm_id else self._margin_objection(changed)
        if objection:
            self._engine.refuse(terms, *rejected(objection))
            self._emit(OrderChanged(order.view()))
            return []
        same_life = (terms.tif or "DAY") == order.terms.tif
        self._engine.change(order, terms, now, order.expires_at if same_life else self._expiry(terms, now))
        return [order] if order.is_live else []
