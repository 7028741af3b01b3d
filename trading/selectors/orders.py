"""Looking orders up."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, Q

from broker.types import UnresolvedIntent
from trading.models import Account, Decision, Instrument, Order, OrderChange, Strategy
from trading.models.account import AccountKind
from trading.models.order import AT_BROKER, LIVE, UNSENT, WORKING, Role

LAST_WORDS = ("Filled", "Cancelled", "ApiCancelled")
# The broker knows the order, whatever the row's state says: it was sent, perhaps by a later copy of this database.
TOLD = Q(perm_id__isnull=False) | ~Q(broker_status="") | Q(rejected=True) | Q(filled_quantity__gt=0)
# By our row never sent, by the broker's word there, and not ended by it.
AT_BROKER_UNSENT = (
    Q(state__in=UNSENT, rejected=False, filled_quantity__lt=F("quantity")) & TOLD & ~Q(broker_status__in=LAST_WORDS)
)


def live_entry(account: Account, strategy: Strategy | None, instrument: Instrument) -> Order | None:
    """The one entry that may still fill."""
    return Order.objects.filter(
        account=account, strategy=strategy, instrument=instrument, role=Role.ENTRY, state__in=LIVE
    ).first()


def is_told(order: Order) -> bool:
    """`TOLD` of a row that was read."""
    return order.perm_id is not None or bool(order.broker_status) or order.rejected or order.filled_quantity > 0


def working_legs(account: Account, strategy: Strategy | None, instrument: Instrument, role: Role) -> list[Order]:
    """The protective legs of a role that work at the broker, newest first."""
    return list(
        Order.objects.filter(
            account=account, strategy=strategy, instrument=instrument, role=role, state__in=WORKING
        ).order_by("-id")
    )


def orders_of(decision: Decision) -> list[Order]:
    """The legs a decision led to, entry first."""
    return list(Order.objects.filter(decision=decision).order_by("id"))


def change_subject(change: OrderChange) -> str:
    """The audit log's name of a change, and of a cancel."""
    if change.kind == "cancel":
        return f"cancel:{change.order.order_ref}.{change.pk}"
    return f"change:{change.order.order_ref}.{change.revision}"


def unresolved(now: datetime) -> list[UnresolvedIntent]:
    """What the owner's reconcile has to look up: our own orders, and their changes, that are or may be at a broker."""
    orders = Order.objects.filter(state__in=AT_BROKER).exclude(account__kind=AccountKind.SHADOW)
    changes = OrderChange.objects.filter(kind="modify", state__in=("SENDING", "UNKNOWN"), order__state__in=AT_BROKER)
    return [
        UnresolvedIntent(order.account_id, order.order_ref, order.state, order.sending_at or order.created_at)
        for order in orders.exclude(role=Role.EXTERNAL).order_by("id")
    ] + [
        UnresolvedIntent(
            change.order.account_id, change.order.order_ref, change.state, change.created_at, change.revision
        )
        for change in changes.select_related("order").order_by("id")
    ]
