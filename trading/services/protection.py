"""Protection stays: a position without its stop gets it again, and closes beyond the position are shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.ops.pace import paced
from broker import types
from broker.port import TABLE
from trading.models import Account, Discrepancy, Order, OrderChange
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import SUFFIX, OrderState, Role
from trading.selectors.discrepancies import unsettled
from trading.selectors.protection import PROTECTS, ZERO, Cover, covers, unheld
from trading.services.discrepancies import discrepancy_open, discrepancy_settle
from trading.services.intents import digest_of, new_group, terms_of_orders
from trading.services.order_moves import order_document, order_move

MOST_TRIES = 3


class Protection:
    """Remembers the look before: what differs between two of the broker's answers is no finding yet."""

    def __init__(self) -> None:
        self.unsettled = False
        self._before: dict[str, tuple[Decimal, Decimal]] = {}

    def forget(self) -> None:
        """A new connection: two answers of it are needed again."""
        self._before = {}

    def judge(self, found: types.Compared) -> list[types.PlaceOrder]:
        """Raise and settle NAKED and OVER_CLOSED; the protective orders whose intents are committed now."""
        wanted = covers(found.account, found.working)
        missing = {cover.key: unheld(cover, wanted, found.positions) for cover in wanted}
        now = {cover.key: (cover.naked, cover.surplus(missing[cover.key])) for cover in wanted}
        before, self._before = self._before, now
        self.unsettled = any(any(pair) and before.get(key) != pair for key, pair in now.items())
        placed = []
        for cover in wanted:
            naked, surplus = before.get(cover.key, (None, None))
            if surplus == now[cover.key][1] and surplus:
                _raise_surplus(cover, missing[cover.key], found)
            if naked == now[cover.key][0] and naked:
                placed += _protect(cover, missing[cover.key], found)
        _settle_all(found, now)
        self.unsettled = self.unsettled or bool(placed)
        return placed


def _raise_surplus(cover: Cover, missing: Decimal, found: types.Compared) -> None:
    remedy = "cancel or shrink one of its closing orders"
    remedy += f"; the broker holds {_plain(missing)} less than our fills say" if missing else ""
    with audit.acting(actor="broker"), audit.recording(point="surplus_raised"):
        _raise(cover, DiscrepancyKind.OVER_CLOSED, remedy, found)


def _protect(cover: Cover, missing: Decimal, found: types.Compared) -> list[types.PlaceOrder]:
    """Raise what is naked; the stop to be placed, if nothing hinders it."""
    obstacle = _obstacle(cover, missing, found)
    with audit.acting(actor="broker"), audit.recording(point="naked_raised"):
        row = _raise(cover, DiscrepancyKind.NAKED, obstacle or "its stop is placed again", found)
    if obstacle or row.state != "OPEN":
        return []
    return [replace_stop(cover, found.market_now)]


def _obstacle(cover: Cover, missing: Decimal, found: types.Compared) -> str:
    """Why no stop is placed now; empty where one is. `missing`: what the broker holds less than our ledgers."""
    last = cover.last_stop
    if missing:
        return f"the broker holds {_plain(missing)} less than our fills say, and a stop for that would open a position"
    if cover.unproven:
        return f"{cover.unproven[0].order_ref} is {cover.unproven[0].state}: no second stop while that is not proven"
    if last is None or cover.trade is None:
        return "it never had a stop whose price could be used again"
    if _ended_on_purpose(last):
        return f"{last.order_ref} was cancelled on request"
    if cover.targets and not found.working.get(cover.targets[0].perm_id or 0):
        return f"{cover.targets[0].order_ref} is in no OCA group that a stop could join"
    tried = _replacements(cover)
    if any(order.state == OrderState.REJECTED for order in tried):
        return f"the broker refused {tried[0].order_ref}: {tried[0].broker_detail}"
    if len(tried) >= MOST_TRIES:
        return f"{len(tried)} stops were placed again and none stayed"
    return found.unprotectable


def _replacements(cover: Cover) -> list[Order]:
    """What was placed for this trade before and covers nothing now, newest first."""
    assert cover.trade is not None
    alone = Order.objects.filter(
        account=cover.account_id,
        strategy=cover.strategy,
        instrument=cover.instrument,
        role=Role.STOP,
        parent=None,
        decision=None,
        request=None,
    )
    return [row for row in alone.order_by("-id") if row.configuration.get(PROTECTS) == cover.trade.opening_exec_id]


def _ended_on_purpose(stop: Order) -> bool:
    return OrderChange.objects.filter(order=stop, kind="cancel").exclude(state="REJECTED").exists()


def replace_stop(cover: Cover, market_now: datetime) -> types.PlaceOrder:
    """Commit the intent of a stop for what is naked, durable; the order for the owner to place."""
    assert cover.last_stop is not None
    assert cover.trade is not None
    with audit.acting(actor="broker"), audit.recording(durable=True, point="protect"):
        Account.objects.select_for_update(no_key=True).get(pk=cover.account_id)
        order = Order(
            account_id=cover.account_id,
            strategy=cover.strategy,
            instrument=cover.instrument,
            # Of the bracket it protects: whoever exits joins that one group.
            group=(cover.targets[0] if cover.targets else cover.last_stop).group,
            role=Role.STOP,
            order_ref=new_group() + SUFFIX[Role.STOP],
            side=cover.side,
            quantity=cover.naked,
            order_type="STP",
            stop_price=cover.last_stop.stop_price,
            tif="GTC",
            configuration={PROTECTS: cover.trade.opening_exec_id},
            created_at=system_now(),
            market_at=market_now,
        )
        order.intent_hash = digest_of(terms_of_orders([order]))
        order.save()
        audit.record(
            EventType.ORDER_DRAFTED,
            f"order:{order.order_ref}",
            version=order.version,
            new_state=order.state,
            account=order.account_id,
            cause=f"{cover.naked.normalize():f} {cover.instrument} without a stop",
            market_at=market_now,
            document=order_document(order),
        )
        order_move(order, OrderState.APPROVED, cause="protection stays", market_at=market_now)
        order_move(order, OrderState.SENDING, cause="intent", market_at=market_now, sending_at=system_now())
    return _request(order, cover)


def _request(order: Order, cover: Cover) -> types.PlaceOrder:
    assert order.sending_at is not None
    assert order.instrument.con_id is not None
    leg = types.OrderLeg(
        order.order_ref,
        "stop",
        "SELL" if order.side == "SELL" else "BUY",
        order.quantity,
        "STP",
        "GTC",
        stop_price=order.stop_price,
        oca_ref=cover.targets[0].order_ref if cover.targets else "",
    )
    deadline = order.sending_at + timedelta(seconds=paced(TABLE["place"].timeout))
    return types.PlaceOrder(
        order.account_id,
        order.instrument.con_id,
        (leg,),
        reduces=True,
        deadline=deadline,
        intent_hash=order.intent_hash,
    )


def _raise(cover: Cover, kind: DiscrepancyKind, remedy: str, found: types.Compared) -> Discrepancy:
    over = kind == DiscrepancyKind.OVER_CLOSED
    theirs = cover.closing if over else cover.stopped
    what = "working orders could close" if over else "working stops cover"
    return discrepancy_open(
        cover.account_id,
        kind,
        cover.key,
        detail=f"{_plain(cover.held)} {cover.instrument} held, {what} {_plain(theirs)}: {remedy}.",
        market_at=found.market_now,
        ours=_plain(cover.held),
        theirs=_plain(theirs),
        order=cover.last_stop,
        instrument=cover.instrument,
    )


def _settle_all(found: types.Compared, seen: Mapping[str, tuple[Decimal, Decimal]]) -> None:
    """End what this look does not show any more; `seen`: what is naked and what is too much, by ledger."""
    for kind, subject in unsettled(found.account, (DiscrepancyKind.NAKED, DiscrepancyKind.OVER_CLOSED)):
        naked, surplus = seen.get(subject, (ZERO, ZERO))
        if not (naked if kind == DiscrepancyKind.NAKED else surplus):
            with audit.acting(actor="broker"), audit.recording(point="naked_settled"):
                cause = "stops cover what is held, and nothing closes more"
                discrepancy_settle(found.account, kind, subject, cause=cause, market_at=found.market_now)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
