"""Writing the intent: an entry's bracket or an exit, committed as SENDING before anything may leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from trading.models import Account, Order, OrderChange, Strategy
from trading.models.account import AccountKind
from trading.models.approval import ApprovalState
from trading.models.decision import DecisionState
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import LIVE, SUFFIX, WORKING, OrderState, Role
from trading.models.strategy import Mode
from trading.selectors.approvals import rows_of
from trading.selectors.discrepancies import latest_of_kind
from trading.selectors.ledger import ASKING
from trading.selectors.orders import AT_BROKER_UNSENT, is_told, live_entry
from trading.selectors.positions import position_quantity
from trading.selectors.trade_costs import SHARES
from trading.services.approval_states import approval_facts, approval_use
from trading.services.executions import EpochLost, Work, epoch_hold
from trading.services.intents import Intent, NoRoomLeft, digest_of, legs_of, new_group, terms_of
from trading.services.order_moves import order_document, order_move
from trading.services.proposals import judge_again
from trading.services.verdicts import verdicts_document

# A worker that comes back later than this after the rules had spoken sends nothing on their old word.
LONGEST_AGE = timedelta(minutes=5)


def entry_write(work: Work, intent: Intent, *, state: OrderState = OrderState.SENDING) -> list[Order]:
    """Commit the bracket's three rows in `state` (SENDING or SIMULATED), durable, under the account's lock.

    Raises NoRoomLeft where the position, exposure or open orders changed so that the limits no longer admit it, or
    where the decision is too old, ApprovalRefused where its approval is not good for exactly this, and EpochLost.
    """
    with audit.recording(durable=True, point="intent"):
        return intent_rows(work, intent, state)


def intent_rows(work: Work, intent: Intent, state: OrderState) -> list[Order]:
    """An entry's rows in `state`, checked under the account's lock; call it in a durable transaction.

    Of an exit that waits for a person nothing but the checks: how it leaves is known when it does.
    """
    account = _begin(work, intent)
    if not intent.is_entry:
        _check_reduces(account, intent)
        _judge(account, intent, state)
        return []
    rows = rows_of(intent.approval) if intent.approval else []
    _check_untold(rows)
    intent = _judge(account, intent, state)
    _check_picture(account, intent)
    _spend_approval(intent)
    rows = rows or orders_draft(work, intent)
    for row in rows:
        _move_on(work, row, state, intent)
    return rows


def _begin(work: Work, intent: Intent) -> Account:
    """Take the locks, work before account, and refuse a decision or a wish that no longer stands."""
    _check_lease(work)
    epoch_hold(work)
    account = Account.objects.select_for_update(no_key=True).get(pk=intent.account.pk)
    _check_strategy(account, intent)
    _check_share(intent)
    _check_wish(intent)
    decision = intent.decision
    if decision is not None:
        if decision.state != DecisionState.ALLOWED:
            raise NoRoomLeft(f"The decision is {decision.state}, not allowed.", code="NOT_ALLOWED")
        # An approved order is as fresh as the word on it, which ends by itself; the market's drift is judged apart.
        aged = decision.quote_at is None or intent.market_now - decision.quote_at > LONGEST_AGE
        if aged and intent.approval is None:
            raise NoRoomLeft(f"The decision was judged on a quote of {decision.quote_at}.", code="STALE_DECISION")
    if intent.expires_at is not None and intent.expires_at <= intent.market_now:
        raise NoRoomLeft(f"The session it was made for ended at {intent.expires_at}.", code="STALE_DECISION")
    return account


def _check_lease(work: Work) -> None:
    """Nothing is written on a lease that ran out, though nobody else has taken the row: whoever was stopped for so long
    looked at a market that is gone. The row is claimed anew, and the market looked at again. Raises EpochLost."""
    if type(work)._default_manager.filter(pk=work.pk, lease_until__lt=Now()).exists():
        raise EpochLost(f"{work}: its lease ran out before it wrote anything")


def _check_strategy(account: Account, intent: Intent) -> None:
    """A strategy that a person has turned off, or moved to or from its shadow ledger, enters nothing any more."""
    if intent.strategy is None or not intent.is_entry:
        return
    strategy = Strategy.objects.get(pk=intent.strategy.pk)
    if (strategy.mode == Mode.SHADOW) != (account.kind == AccountKind.SHADOW):
        raise NoRoomLeft(f"{strategy} is in mode {strategy.mode} now, and trades another ledger.", code="MODE_CHANGED")
    if not strategy.enabled and account.kind != AccountKind.REPLAY:
        raise NoRoomLeft(f"{strategy} was turned off; it enters nothing.", code="STRATEGY_DISABLED")


def _check_share(intent: Intent) -> None:
    """Sizes, limits and results are reckoned as quantity times price, which holds for shares alone; out one may."""
    kind = intent.instrument.sec_type
    if intent.is_entry and kind not in SHARES:
        raise NoRoomLeft(f"{intent.instrument} is {kind or 'of no known type'}, not a share.", code="NOT_A_SHARE")


def _check_wish(intent: Intent) -> None:
    """What was asked for long ago, and waited for a process, is not done any more; an approval ends by itself."""
    asked = intent.request.market_at if intent.request is not None else None
    if asked is not None and intent.approval is None and intent.market_now - asked > LONGEST_AGE:
        raise NoRoomLeft(f"It was asked for at {asked}; ask anew.", code="STALE_REQUEST")


def _check_picture(account: Account, intent: Intent) -> None:
    """An entry that was wanted before a lost order of ours turned up may be that very order, also where a person has
    looked at that since."""
    wish = intent.decision.execution if intent.decision is not None else intent.request
    lost = latest_of_kind(DiscrepancyKind.UNRECORDED, account.pk, intent.instrument)
    if lost is None or wish is None or wish.created_at > lost.first_seen_at:
        return
    code = "STALE_REQUEST" if intent.decision is None else "STALE_DECISION"
    raise NoRoomLeft(f"It was wanted before this turned up: {lost}. Look, and ask anew.", code=code)


def _check_untold(rows: Sequence[Order]) -> None:
    """Rows that an older copy put back as never sent are not sent once more."""
    told = next((row for row in rows if is_told(row)), None)
    if told is not None:
        raise NoRoomLeft(f"The broker has it already: {told} was sent after this copy of the database was made.")


def _spend_approval(intent: Intent) -> None:
    """The last check of an approved order: its approval, once."""
    if intent.approval is not None and intent.approval.state != ApprovalState.USED:
        approval_use(intent.approval, digest_of(terms_of(intent)), intent.market_now)


def _judge(account: Account, intent: Intent, state: OrderState) -> Intent:
    """Let every control speak again under the lock; the first refusal stops the order. Its words are kept with it."""
    own = intent.approval.order if intent.approval else None
    if intent.is_entry and live_entry(account, intent.strategy, intent.instrument) not in (None, own):
        whose = f" of {intent.strategy}" if intent.strategy else ""
        raise NoRoomLeft(f"An entry{whose} in {intent.instrument} is already at work.")
    facts = approval_facts(intent.approval, digest_of(terms_of(intent))) if intent.approval else None
    if state == OrderState.PENDING_APPROVAL:
        facts = ASKING
    verdicts = judge_again(intent.proposal, account, approval=facts, group=own.group if own else "")
    for verdict in verdicts:
        if not verdict.allowed:
            raise NoRoomLeft(verdict.message, code=verdict.code, details={"verdicts": verdicts_document(verdicts)})
    return replace(intent, configuration=intent.configuration | {"verdicts": verdicts_document(verdicts)})


def orders_draft(work: Work, intent: Intent) -> list[Order]:
    """The rows of what is to be sent, as DRAFT, the parent first; call it in the transaction that moves them on."""
    group, digest = new_group(), digest_of(terms_of(intent))
    orders: list[Order] = []
    for leg in legs_of(intent):
        orders.append(_draft(work, intent, group, digest, orders[0] if orders else None, leg))
    return orders


def _draft(work: Work, intent: Intent, group: str, digest: str, parent: Order | None, terms: dict[str, Any]) -> Order:
    order = Order.objects.create(
        account=intent.account,
        strategy=intent.strategy,
        instrument=intent.instrument,
        decision=intent.decision,
        request=intent.request,
        group=group,
        parent=parent,
        order_ref=group + SUFFIX[Role(terms["role"])],
        epoch=work.epoch,
        intent_hash=digest,
        configuration=intent.configuration,
        expires_at=intent.expires_at if terms["tif"] == "DAY" else None,
        created_at=system_now(),
        market_at=intent.market_now,
        **terms,
    )
    audit.record(
        EventType.ORDER_DRAFTED,
        f"order:{order.order_ref}",
        version=order.version,
        new_state=order.state,
        account=order.account_id,
        market_at=intent.market_now,
        document=order_document(order),
    )
    return order


def _move_on(work: Work, order: Order, state: OrderState, intent: Intent) -> None:
    """On to `state`; what needs no person's word is approved by its mode or its requester."""
    if state == OrderState.PENDING_APPROVAL:
        order_move(order, state, cause="a person is asked", market_at=intent.market_now)
        return
    if order.state == OrderState.DRAFT:
        order_move(order, OrderState.APPROVED, cause=_approved_by(intent), market_at=intent.market_now)
    if state == OrderState.SENDING:
        now = {"sending_at": system_now(), "epoch": work.epoch, "configuration": intent.configuration}
        order_move(order, state, cause="intent", market_at=intent.market_now, **now)
    else:
        order_move(order, state, cause="ORDERS_ENABLED=false", market_at=intent.market_now)


def _approved_by(intent: Intent) -> str:
    return f"mode {intent.strategy.mode}" if intent.strategy else f"asked by {intent.request and intent.request.actor}"


def exit_write(work: Work, intent: Intent, *, state: OrderState = OrderState.SENDING) -> Order:
    """Commit an exit order of its own (there is no live target to move), durable.

    Raises NoRoomLeft where it could leave more than flat: by what is held now and by what closes it already.
    """
    with audit.recording(durable=True, point="exit"):
        account = _begin(work, intent)
        _check_reduces(account, intent)
        _check_protection(account, intent)
        intent = _judge(account, intent, state)
        _spend_approval(intent)
        order = orders_draft(work, intent)[0]
        _move_on(work, order, state, intent)
    return order


def _check_reduces(account: Account, intent: Intent) -> None:
    """An exit closes what is held at this moment, once."""
    held = position_quantity(account, intent.strategy, intent.instrument)
    if intent.quantity > (held if intent.side == "SELL" else -held):
        raise NoRoomLeft(f"{intent.side} {intent.quantity} would not only reduce {held}.", code="POSITION_CHANGED")
    working = _live(account, intent).filter(role=Role.EXIT).first()
    if working is not None:
        raise NoRoomLeft(f"The exit {working} is already at work.", code="EXIT_AT_WORK")


def _check_protection(account: Account, intent: Intent) -> None:
    """An exit beside protective legs joins the OCA group of a working stop; a leg outside of it could fill too."""
    legs = list(_live(account, intent).filter(role__in=(Role.STOP, Role.TARGET)))
    if legs and not any(leg.role == Role.STOP and leg.state in WORKING for leg in legs):
        raise NoRoomLeft(f"{legs[0]} is {legs[0].state}: an exit could fill beside it.", code="PROTECTION_UNCERTAIN")
    if len({leg.group for leg in legs}) > 1:
        raise NoRoomLeft("Two brackets protect it: one exit could fill beside a leg.", code="PROTECTION_UNCERTAIN")


def _live(account: Account, intent: Intent) -> QuerySet[Order]:
    """Also what works by the broker's word alone."""
    there = Q(state__in=LIVE) | AT_BROKER_UNSENT
    return Order.objects.filter(there, account=account, strategy=intent.strategy, instrument=intent.instrument)


def changes_write(work: Work, intent: Intent, targets: Sequence[Order]) -> list[OrderChange]:
    """Commit the wish to move the target legs to a marketable limit, durable: the exit that is never naked.

    All of them or none: what the first has filled must not be a reason to refuse the second. Raises NoRoomLeft where a
    leg works no more, another exit works, or they would not only reduce what is held now.
    """
    with audit.recording(durable=True, point="change"):
        account = _begin(work, intent)
        # As the writer of evidence does: an order that ends at this moment must see its change, to end it too.
        locked = Order.objects.select_for_update(no_key=True).filter(pk__in=[target.pk for target in targets])
        list(locked.order_by("id").values_list("pk"))
        for target in targets:
            target.refresh_from_db()
            if target.state not in WORKING:
                raise NoRoomLeft(f"The target {target} is {target.state}.", code="POSITION_CHANGED")
        _check_reduces(account, intent)
        intent = _judge(account, intent, OrderState.SENDING)
        _spend_approval(intent)
        return [_change(target, intent) for target in targets]


def _change(target: Order, intent: Intent) -> OrderChange:
    last = OrderChange.objects.filter(order=target).order_by("revision").last()
    change = OrderChange.objects.create(
        order=target,
        decision=intent.decision,
        request=intent.request,
        revision=(last.revision if last else 0) + 1,
        limit_price=intent.limit_price,
        state="SENDING",
        configuration=intent.configuration,
        created_at=system_now(),
        market_at=intent.market_now,
    )
    audit.record(
        EventType.ORDER_CHANGE_SENDING,
        f"change:{target.order_ref}.{change.revision}",
        version=change.version,
        new_state=change.state,
        account=target.account_id,
        cause=f"exit by {intent.decision or intent.request}",
        market_at=intent.market_now,
        document={"limit_price": intent.limit_price},
    )
    return change
