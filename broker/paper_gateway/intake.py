"""Takes what clients ask for - new orders, changes, cancels, previews - checks it and hands it to the engine."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime

from . import trailing
from .checks import Refusal, check_change, check_terms, refuse_ended, rejected
from .engine import Engine, Life
from .ids import OrderIds
from .life import Lives, held_warning
from .margin import MarginDesk, cents
from .orders import Order
from .pricing import Pricing
from .short_sales import HELD, ShortSales
from .types import EngineEvent, GatewayError, OrderChanged, OrderTerms, Preview


class Intake:
    """Everything an order has to pass on its way to the engine."""

    def __init__(
        self,
        *,
        engine: Engine,
        ids: OrderIds,
        market: Pricing,
        margin: MarginDesk,
        lives: Lives,
        shorts: ShortSales,
        emit: Callable[[EngineEvent], None],
    ) -> None:
        self._engine = engine
        self._book = engine.book
        self._ids = ids
        self._market = market
        self._margin = margin
        self._lives = lives
        self._shorts = shorts
        self._emit = emit

    def submit(self, terms: OrderTerms, now: datetime) -> list[Order]:
        """Take a new order or a change of one; returns the orders that may trade from now on."""
        known = None
        if not self._ids.is_new(terms.client_id, terms.order_id):
            known = self._book.find(terms.client_id, terms.order_id)
        if known is not None:
            return self._modify(known, terms, now)
        if not self._ids.use(terms.client_id, terms.order_id):
            self._engine.refuse(terms, 103, "Duplicate order id")
            return []
        return self.enter(terms, now)

    def enter(self, terms: OrderTerms, now: datetime) -> list[Order]:
        """Take a new order whose id is in order."""
        life = self._check_new(terms) or self._lives.of(terms, now)
        if isinstance(life, Refusal):
            self._engine.refuse(terms, *life)
            return []
        order = self._engine.take(terms, self._parent(terms), now, life)
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
        refusal = self._check_new(terms)
        if refusal is None and self._market.last(terms.con_id) is None:
            refusal = rejected(f"no market data for {terms.symbol}")
        if refusal is not None:
            raise GatewayError(*refusal)
        order = Order(terms=terms, perm_id=0, placed_at=now, since=now)
        self._begin_trailing(order)
        return self._margin.preview(order)

    def shares_came(self, con_id: int) -> list[Order]:
        """Shares to borrow have become available: let go of the short sales they suffice for."""
        freed = [order for order in self._book.working_of(con_id) if order.locating]
        freed = [order for order in freed if not self._shorts.lacks_shares(order)]
        for order in freed:
            self._engine.locate(order, found=True)
        return freed

    def _check_new(self, terms: OrderTerms) -> Refusal | None:
        spec = self._market.find(terms.con_id)
        refusal = check_terms(terms, spec, self._engine.account)
        if refusal is None and terms.parent_id and self._parent(terms) is None:
            return Refusal(10006, "Missing parent order.")
        if refusal is None and spec is not None:
            try:
                for currency in (spec.currency, spec.symbol) if spec.sec_type == "CASH" else (spec.currency,):
                    self._market.rate(currency)
            except GatewayError as error:
                return Refusal(error.code, error.message)
        return refusal

    def _parent(self, terms: OrderTerms) -> Order | None:
        return self._book.find(terms.client_id, terms.parent_id) if terms.parent_id else None

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
            return
        self._begin_trailing(order)
        order.locating = self._shorts.lacks_shares(order)
        self._margin.reserve(order)
        self._engine.release(order, now)
        if order.locating:
            self._engine.refuse(order.terms, *HELD)
        if order.held_until is not None and order.terms.good_after is None:
            spec = self._market.spec(order.terms.con_id)
            notice = held_warning(order.terms, spec.primary_exchange, order.held_until, spec.time_zone)
            self._engine.refuse(order.terms, *notice)

    def _begin_trailing(self, order: Order) -> None:
        spec = self._market.spec(order.terms.con_id)
        trailing.begin(order, self._market.price(spec.con_id), spec.min_tick)

    def _objection(self, order: Order) -> str:
        """Why the market does not take an order whose terms are in order; empty where it does."""
        if self._market.last(order.terms.con_id) is None:
            return f"no market data for {order.terms.symbol}"
        if order.group and self._book.group_is_filled(order.group):
            return f"OCA group {order.group} is already filled"
        if order.parent_perm_id:
            parent = self._book.by_perm_id(order.parent_perm_id)
            return "the parent order has ended" if not parent.is_live and not parent.filled else ""
        return self._margin_objection(order)

    def _margin_objection(self, order: Order) -> str:
        missing = self._margin.shortfall(order)
        if missing <= 0:
            return ""
        base, available = self._engine.ledger.base, self._margin.available()
        return (
            f"available funds of {cents(available)} {base} do not cover the initial margin of this order "
            f"and the working ones, {cents(missing)} {base} are missing"
        )

    def _modify(self, order: Order, terms: OrderTerms, now: datetime) -> list[Order]:
        outcome = refuse_ended(order) if not order.is_live else self._changed_life(order, terms, now)
        if isinstance(outcome, Refusal):
            self._engine.refuse(terms, *outcome)
            return []
        if order.status == "Parked":
            self._engine.change(order, terms, now, outcome)
            return self._release(order, now) if terms.transmit else []
        if not terms.transmit:
            return []  # an untransmitted change waits at the client's desk; the old terms go on working
        return self._apply(order, terms, now, outcome)

    def _changed_life(self, order: Order, terms: OrderTerms, now: datetime) -> Life | Refusal:
        """The life after a change: the old one, unless the change is about it."""
        refusal = check_change(order, terms)
        refusal = refusal or check_terms(terms, self._market.find(terms.con_id), self._engine.account)
        if refusal is not None:
            return refusal
        if _times(terms) == _times(order.terms) and order.status != "Parked":
            return Life(order.expires_at, order.held_until)
        return self._lives.of(terms, now)

    def _apply(self, order: Order, terms: OrderTerms, now: datetime, life: Life) -> list[Order]:
        changed = copy(order)
        changed.terms = terms
        objection = "" if order.parent_perm_id else self._margin_objection(changed)
        if objection:
            self._engine.refuse(terms, *rejected(objection))
            self._emit(OrderChanged(order.view()))
            return []
        self._carry_trail(order, terms)
        order.locating = self._shorts.lacks_shares(changed)
        self._engine.change(order, terms, now, life)
        self._margin.reserve(order)
        return [order] if order.is_live else []

    def _carry_trail(self, order: Order, terms: OrderTerms) -> None:
        spec, old = self._market.spec(terms.con_id), order.terms
        order.terms = terms
        trailing.carry_over(order, old, self._market.price(spec.con_id), spec.min_tick)
        order.terms = old


def _times(terms: OrderTerms) -> tuple[str, datetime | None, datetime | None, bool]:
    return (terms.tif or "DAY", terms.good_till, terms.good_after, terms.outside_rth)
