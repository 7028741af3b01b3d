"""What a person may change of a working order: its new terms, by the role it plays."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q

from autotrader.core.errors import AutoTraderError, Invalid
from trading.models import Order, OrderChange
from trading.models.account import AccountKind
from trading.models.order import LIVE, TERMINAL, WORKING, Role
from trading.risk.base import Proposal, known
from trading.selectors.orders import working_legs
from trading.services.proposals import Market
from trading.services.request_bodies import ModifyBody

ZERO = Decimal(0)


class NotChangeable(AutoTraderError):
    """The order may not be changed like this; the message says what may be done."""

    code = "NOT_CHANGEABLE"
    status = 409


@dataclass(frozen=True, slots=True)
class NewTerms:
    """The whole terms of a working order after the change; `quantity` is its new total."""

    limit_price: Decimal | None
    stop_price: Decimal | None
    quantity: Decimal


def new_terms(order: Order, body: ModifyBody) -> NewTerms:
    """The order's terms with what the body changes. Raises Invalid naming the field, where it has none such."""
    for name in ("limit_price", "stop_price"):
        if getattr(body, name) is not None and getattr(order, name) is None:
            raise _invalid(name, f"is not allowed: this {order.order_type} order has none to change")
    if body.quantity is not None and order.role == Role.ENTRY:
        raise _invalid("quantity", "of an entry stays: its stop and target stand for all of it; cancel it, place anew")
    terms = NewTerms(
        order.limit_price if body.limit_price is None else body.limit_price,
        order.stop_price if body.stop_price is None else body.stop_price,
        order.quantity if body.quantity is None else body.quantity,
    )
    if terms == NewTerms(order.limit_price, order.stop_price, order.quantity):
        raise _invalid("limit_price", "changes nothing: the order has these terms already", code="NOTHING_CHANGES")
    if terms.quantity <= order.filled_quantity:
        raise _invalid("quantity", f"must be above the {order.filled_quantity.normalize():f} that have filled")
    return terms


def check_changeable(order: Order) -> None:
    """Raise NotChangeable unless it is an order of ours that works, and nothing else about it is under way."""
    if order.role == Role.EXTERNAL:
        raise NotChangeable(f"{order} was not sent from here; change it where it was sent from.", code="NOT_OURS")
    if order.account.kind == AccountKind.SHADOW:
        raise NotChangeable(f"{order} is an order of a shadow ledger; no broker knows it.", code="NOT_AT_BROKER")
    if order.state in TERMINAL:
        raise NotChangeable(f"{order} has ended: it is {order.state}.", code="ORDER_ENDED")
    if order.state not in WORKING:
        raise NotChangeable(f"{order} is {order.state}; only a working order can be changed.", code="NOT_WORKING")
    # A change that the broker's book did not show is overtaken by the next one; its order must stay manageable.
    busy = Q(state="SENDING") | Q(kind="cancel", state="UNKNOWN")
    waiting = OrderChange.objects.filter(busy, order=order).order_by("id").first()
    if waiting is not None:
        raise NotChangeable(
            f"A {waiting.kind} of {order} is {waiting.state}; wait for the broker's word on it.", code="CHANGE_AT_WORK"
        )


def check_same_terms(now: Order, seen: Order) -> None:
    """Raise NotChangeable where another change took effect since `seen` was read: its terms would be undone by this."""
    terms = (now.limit_price, now.stop_price, now.quantity)
    if terms != (seen.limit_price, seen.stop_price, seen.quantity):
        raise NotChangeable(f"{now} was changed meanwhile; look at it again.", code="CHANGED_MEANWHILE")


def check_role(order: Order, terms: NewTerms, proposal: Proposal, market: Market) -> None:
    """What a stop owes to the position it protects. Raises Invalid naming the field."""
    if order.role == Role.STOP:
        _check_stop_covers(order, terms, proposal)
        if terms.stop_price != order.stop_price:
            _check_stop_waits(order, terms, market)
            _check_stop_risk(order, terms, proposal)


def _check_stop_covers(order: Order, terms: NewTerms, proposal: Proposal) -> None:
    """A stop never protects less than is held, nor than its entry may still buy."""
    stops = working_legs(order.account, order.strategy, order.instrument, Role.STOP)
    others = sum((open_part(leg) for leg in stops if leg.pk != order.pk), ZERO)
    needed = abs(proposal.ledger.position) + proposal.pending
    if terms.quantity - order.filled_quantity + others < needed and terms.quantity < order.quantity:
        raise _invalid(
            "quantity", f"would protect less than the {needed.normalize():f} that are held", code="NOT_COVERED"
        )


def _check_stop_waits(order: Order, terms: NewTerms, market: Market) -> None:
    quote, stop = market.quote, terms.stop_price
    price = None if quote is None else (quote.bid if order.side == "SELL" else quote.ask)
    if price is None or not known(price) or stop is None:
        raise _invalid("stop_price", "cannot be compared with the market: there is no quote", code="NO_QUOTE")
    if stop >= price if order.side == "SELL" else stop <= price:
        fix = f"would trigger at once at the market of {price.normalize():f}; to close now, ask for an exit"
        raise _invalid("stop_price", fix, code="STOP_WOULD_TRIGGER")


def _check_stop_risk(order: Order, terms: NewTerms, proposal: Proposal) -> None:
    """A stop may always come nearer; farther only as long as what is lost there stays within the risk of one trade."""
    old, new = order.stop_price, terms.stop_price
    assert old is not None
    assert new is not None
    nearer = new > old if order.side == "SELL" else new < old
    if nearer:
        return
    paid, equity = _paid(order), proposal.equity
    if paid is None or not known(equity):
        raise _invalid("stop_price", "moves away, and the loss there is not known; only nearer is allowed now")
    loss = (paid - new if order.side == "SELL" else new - paid) * terms.quantity
    most = equity * proposal.limits.risk_per_trade
    if loss > most:
        problem = f"would lose {loss:.2f} there, at most {most:.2f} may be lost by one trade"
        raise _invalid("stop_price", problem, code="STOP_TOO_FAR")


def _paid(stop: Order) -> Decimal | None:
    """What the protected position cost a share, or will cost at most."""
    entry = stop.parent
    return None if entry is None else entry.average_price or entry.limit_price


def pending_of(order: Order) -> Decimal:
    """What the entry that a leg protects may still fill."""
    entry = order.parent
    return open_part(entry) if entry is not None and entry.state in LIVE else ZERO


def open_part(order: Order) -> Decimal:
    """What may still fill of an order."""
    left: Decimal = (order.broker_quantity or order.quantity) - order.filled_quantity
    return max(left, ZERO)


def _invalid(field: str, problem: str, *, code: str = "INVALID") -> Invalid:
    return Invalid(f"{field} {problem}.", code=code, details={"field": field, "fields": {field: problem}})
