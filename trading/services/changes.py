"""Changing a working order: judged like an order, kept as SENDING before its frame, proven by what the broker shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.ops.pace import paced
from broker import types
from broker.errors import TradingDisabled
from broker.port import TABLE, Broker
from trading.models import Account, Order, OrderChange, OrderRequest
from trading.models.decision import Purpose
from trading.models.order import Role
from trading.risk.base import Proposal, Verdict
from trading.selectors.limits import limits_of
from trading.selectors.orders import change_subject
from trading.selectors.positions import position_quantity
from trading.services.approved_intents import configuration
from trading.services.change_evidence import change_document
from trading.services.change_terms import (
    NewTerms,
    check_changeable,
    check_role,
    check_same_terms,
    new_terms,
    pending_of,
)
from trading.services.proposals import Cause, Market, Terms, judge_again, look, propose
from trading.services.request_bodies import ModifyBody
from trading.services.request_intents import check_grid, resolve
from trading.services.request_refusals import refusal_of
from trading.services.request_rows import request_accept
from trading.services.sending import tell
from trading.services.verdicts import verdicts_document, verdicts_save


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change that was read and checked: the order, its terms after it, and what the controls judge."""

    order: Order
    terms: NewTerms
    proposal: Proposal
    market: Market


def change_wanted(order: Order, body: ModifyBody, broker: Broker, request: OrderRequest) -> Wanted:
    """Check the change against the order and the market; no transaction may be open.

    Raises Invalid naming the field, NotChangeable, TradingDisabled and BrokerUnavailable.
    """
    if not settings.ORDERS_ENABLED:
        raise TradingDisabled("ORDERS_ENABLED is false; no working order is changed.", code="ORDERS_DISABLED")
    check_changeable(order)
    terms = new_terms(order, body)
    contract = resolve(order.instrument, broker)
    check_grid({"limit_price": body.limit_price, "stop_price": body.stop_price}, contract)
    market = look(broker, contract.con_id)
    proposal = _proposal(order, terms, market, request, intended=body.intended)
    check_role(order, terms, proposal, market)
    return Wanted(order, terms, proposal, market)


def _proposal(order: Order, terms: NewTerms, market: Market, request: OrderRequest, *, intended: bool) -> Proposal:
    """The order as it would stand after the change. An entry is judged as an entry again, what closes as a change."""
    is_entry = order.role == Role.ENTRY
    legs = {leg.role: leg for leg in Order.objects.filter(group=order.group).exclude(pk=order.pk)}
    stop, target = legs.get(Role.STOP), legs.get(Role.TARGET)
    cause = Cause(
        account=order.account,
        strategy=order.strategy,
        instrument=order.instrument,
        limits=limits_of(order.strategy),
        source="request",
        decided_at=request.market_at or market.now,
        position=position_quantity(order.account, order.strategy, order.instrument),
        intended=intended,
    )
    wished = Terms(
        purpose=Purpose.ENTRY if is_entry else "change",
        side=order.side,
        quantity=terms.quantity - order.filled_quantity,
        limit_price=terms.limit_price,
        stop_price=stop.stop_price if is_entry and stop else terms.stop_price,
        target_price=target.limit_price if is_entry and target else None,
        order_type=order.order_type,
    )
    proposal, _ = propose(cause, wished, market)
    return replace(proposal, role=order.role, group=order.group, pending=pending_of(order))


def change_commit(wanted: Wanted, request: OrderRequest) -> OrderChange:
    """Judge the change under the account's lock, keep every verdict, and commit it as SENDING, durable.

    Raises Refused with every refusal, NotChangeable where the order has moved on, and Conflict.
    """
    order = wanted.order
    with audit.recording(durable=True, point="change"):
        account = Account.objects.select_for_update(no_key=True).get(pk=order.account_id)
        row = Order.objects.select_for_update(of=("self",), no_key=True).select_related("account").get(pk=order.pk)
        check_changeable(row)
        check_same_terms(row, order)
        verdicts = judge_again(wanted.proposal, account, group=order.group)
        refusal = refusal_of(verdicts)
        if refusal is not None:
            raise refusal
        verdicts_save(verdicts, request=request)
        request_accept(request)
        return _write(row, wanted, request, verdicts)


def _write(row: Order, wanted: Wanted, request: OrderRequest, verdicts: Sequence[Verdict]) -> OrderChange:
    last = OrderChange.objects.filter(order=row, kind="modify").order_by("revision").last()
    change = OrderChange.objects.create(
        order=row,
        kind="modify",
        revision=(last.revision if last else 0) + 1,
        request=request,
        actor=request.actor,
        limit_price=wanted.terms.limit_price,
        stop_price=wanted.terms.stop_price,
        quantity=wanted.terms.quantity if wanted.terms.quantity != row.quantity else None,
        state="SENDING",
        configuration=configuration(wanted.proposal) | {"verdicts_at_send": verdicts_document(verdicts)},
        created_at=system_now(),
        market_at=wanted.market.now,
    )
    audit.record(
        EventType.ORDER_CHANGE_SENDING,
        change_subject(change),
        version=change.version,
        new_state=change.state,
        account=row.account_id,
        cause=f"request:{request.pk}",
        market_at=wanted.market.now,
        document=change_document(change),
    )
    return change


def change_send(change: OrderChange, broker: Broker) -> str:
    """Hand a committed change to the broker, once; what it says of a failure, for people. The rows are told by
    evidence alone."""
    request = types.ModifyOrder(
        account=change.order.account_id,
        order_ref=change.order.order_ref,
        revision=change.revision,
        limit_price=change.limit_price,
        stop_price=change.stop_price,
        quantity=change.quantity,
        reduces=change.order.role != Role.ENTRY,
        deadline=change.created_at + timedelta(seconds=paced(TABLE["modify"].timeout)),
    )
    return tell(lambda: broker.modify(request))
