"""After each complete look at the broker's book: what the desk compares with its own rows, and what it wants done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from autotrader.core import audit
from broker import types
from trading.models import Account, Order
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import AT_BROKER, LIVE, OrderState, Role
from trading.selectors.discrepancies import open_of_kind, unsettled
from trading.selectors.orders import live_entry
from trading.services.accounts import account_ensure
from trading.services.alarms import REVIVED
from trading.services.cash import CashWatch
from trading.services.discrepancies import discrepancy_settle
from trading.services.evidence import order_settle
from trading.services.order_moves import order_move
from trading.services.order_states import derive, evidence_of
from trading.services.overdue import blocked_raise, overdue_raise
from trading.services.protection import Protection


class Comparison:
    """The desk's side of reconcile, one an owner; every method runs in the owner's writer thread."""

    def __init__(self) -> None:
        self._protection = Protection()
        self._cash = CashWatch()
        self._gone: set[int] = set()
        self._connection: tuple[str, datetime] | None = None

    def look(self, found: types.Compared) -> types.Wishes:
        """Compare; the orders whose intents are committed for the owner to place now."""
        account_ensure(found.account)
        if self._connection != (found.account, found.connection):  # what two answers must agree on begins anew
            self._connection, self._gone = (found.account, found.connection), set()
            self._protection.forget()
            self._cash.forget()
        overdue_raise(found.started)
        ended = self._end_vanished(found)
        self._settle_revived(found)
        self._settle_doubled(found)
        self._cash.compare(found)
        placed = self._protection.judge(found)
        return types.Wishes(tuple(placed), soon=self._protection.unsettled or ended)

    def watch(self, now: datetime, blocked: Sequence[types.Blocked]) -> tuple[int, ...]:
        """Between looks, and without a broker: raise what waits too long; the messages to be set aside."""
        overdue_raise(now)
        return blocked_raise(blocked)

    def _end_vanished(self, found: types.Compared) -> bool:
        """An order of somebody else that two books do not show any more has ended; True while one is in doubt."""
        others = Order.objects.filter(account=found.account, role=Role.EXTERNAL, state__in=AT_BROKER)
        rows = {row.pk: row for row in others.filter(created_at__lt=found.started)}
        gone = {pk for pk, row in rows.items() if row.perm_id not in found.working}
        for pk in gone & self._gone:
            with audit.acting(actor="broker", correlation_id=f"order.{pk}"), audit.recording(point="vanished_ended"):
                cause = "the broker's book shows it no more"
                order_move(rows[pk], OrderState.CANCELLED, cause=cause, market_at=found.market_now)
        self._gone, doubtful = gone - self._gone, gone - self._gone
        return bool(doubtful)

    @staticmethod
    def _settle_revived(found: types.Compared) -> None:
        """An entry that revived beside its successor lives on as soon as its place is free: the broker tells of it
        once only."""
        for kind, subject in unsettled(found.account, (DiscrepancyKind.UNKNOWN_ORDER,)):
            if not subject.startswith(REVIVED):
                continue
            locked = Order.objects.select_for_update(of=("self",), no_key=True)
            orders = locked.select_related("decision__execution__cycle", "request")
            with audit.acting(actor="broker"), audit.recording():
                Account.objects.select_for_update(no_key=True).get(pk=found.account)  # whoever enters waits
                order = orders.get(account=found.account, order_ref=subject.removeprefix(REVIVED))
                state = derive(evidence_of(order, order.filled_quantity, found.market_now))
                lives = order.state not in LIVE and state in LIVE
                if lives and live_entry(order.account, order.strategy, order.instrument) is not None:
                    continue
                order_settle(order, cause="its place is free again", market_at=found.market_now)
                cause = f"the order is {order.state}, and no other has its place"
                discrepancy_settle(found.account, kind, subject, cause=cause, market_at=found.market_now)

    @staticmethod
    def _settle_doubled(found: types.Compared) -> None:
        for row in open_of_kind(DiscrepancyKind.DOUBLED, found.account):
            if sum(perm_id in found.working for perm_id in row.document["perm_ids"]) <= 1:
                with audit.acting(actor="broker"), audit.recording(point="doubled_settled"):
                    discrepancy_settle(
                        found.account,
                        DiscrepancyKind.DOUBLED,
                        row.subject,
                        cause="no more than one of them works",
                        market_at=found.market_now,
                    )
