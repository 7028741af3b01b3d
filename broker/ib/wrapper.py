"""What every incoming frame says, turned into reports; ib_insync's own guesses at an order's state stay out of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from autotrader.core.clock import system_now
from broker import types
from broker.errors import BrokerUnavailable
from broker.ib import codes, mapping, order_terms
from broker.ib.account import TIME_KEY
from broker.ib.codes import Kind, Meaning
from broker.ib.library import ib_insync
from broker.ib.ticks import MarketDataWrapper

log = logging.getLogger(__name__)
DONE = frozenset({"Filled", "Cancelled", "ApiCancelled"})
LONGEST_TIME = 20  # characters of what TWS calls a time; it writes five
Key = int | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a connection wants to hear of its frames; all are called in the loop's thread."""

    sink: Callable[[types.BrokerEvent], None]
    tick: Callable[[int], Decimal | None]
    account_values_changed: Callable[[], None]
    executed: Callable[[], None]
    notice: Callable[[int, int, str], None]  # every error frame: request id, code, text
    heard: Callable[[], None]  # any frame at all
    now: Callable[[], datetime]
    clock_moved: Callable[[datetime], None]


class ReportingWrapper(MarketDataWrapper):
    """ib_insync's wrapper, telling `hooks` what the broker said, once each and in the order in which it said it."""

    def __init__(self, ib: Any, hooks: Hooks) -> None:
        self._hooks = hooks
        super().__init__(ib)

    def reset(self) -> None:
        """Forget everything of a connection; ib_insync calls it at the start and at the end of one."""
        super().reset()
        self.orders: dict[Key, Any] = {}  # as the last openOrder frame had it
        self.statuses: dict[Key, str] = {}  # the last word of the broker
        self.commissions: dict[str, types.CommissionReport] = {}
        self.completed_states: dict[int, Any] = {}
        self.unanswered: dict[Key, dict[str, float]] = {}  # what a change has set that no openOrder frame shows yet
        self.told_at: datetime | None = None  # when TWS told of the account last, if only that nothing has changed
        self.account_time = ""  # the time of day that it gave
        self.priced_at: dict[int, datetime] = {}  # by contract: when the holding's price came
        self.warned_previews: dict[int, Any] = {}  # what-if answers that came without margins so far
        self._filled: dict[Key, tuple[Decimal, Decimal]] = {}  # filled and remaining by the last orderStatus frame
        self._reported: dict[Key, types.OrderReport] = {}
        self._unreported: list[Key] = []

    # Orders

    def openOrder(self, orderId: int, contract: Any, order: Any, orderState: Any) -> None:
        """Remember the order as the gateway has it; report it now or, better, with the orderStatus that follows."""
        if order.whatIf:
            self._previewed(orderId, orderState)
            return
        key = self.orderKey(order.clientId, order.orderId, order.permId)
        if self._is_another(key, order.permId):
            self._forget(key)
        super().openOrder(orderId, contract, order, orderState)
        self.orders[key] = order
        self.statuses[key] = orderState.status
        if order_terms.shows(order, self.unanswered.get(key, {})):
            self.unanswered.pop(key, None)
        if key not in self._unreported:
            self._unreported.append(key)

    def _previewed(self, request_id: int, state: Any) -> None:
        """TWS may send a warning with unset margins before the answer to a what-if order."""
        if mapping.number(state.initMarginChange) is None:
            self.warned_previews[request_id] = state
        else:
            self._endReq(request_id, state)

    def orderStatus(self, orderId: int, status: str, filled: float, remaining: float, *rest: Any) -> None:
        """Report an order with the status that the broker itself gives."""
        _average, perm_id, _parent, _last, client_id = rest[:5]
        key = self.orderKey(client_id, orderId, perm_id)
        if self._is_another(key, perm_id):
            log.warning("order id %s of client %s has been reused; status of %s left out", orderId, client_id, perm_id)
            return
        super().orderStatus(orderId, status, filled, remaining, *rest)
        self.statuses[key] = status
        self._filled[key] = (mapping.quantity(filled), mapping.quantity(remaining))
        self._report(key)

    def _is_another(self, key: Key, perm_id: int) -> bool:
        """Whether the id names another order than the one we know by it: a gateway may give ids anew."""
        known = self.orders.get(key)
        return known is not None and bool(known.permId and perm_id) and known.permId != perm_id

    def _forget(self, key: Key) -> None:
        for kept in (self.trades, self.orders, self.statuses, self.unanswered, self._filled, self._reported):
            kept.pop(key, None)

    def completedOrder(self, contract: Any, order: Any, orderState: Any) -> None:
        """Keep the state of a completed order: ib_insync drops its text, and leaves an order open that ended unseen."""
        super().completedOrder(contract, order, orderState)
        self.completed_states[order.permId] = orderState
        known = self.permId2Trade[order.permId].order
        key = self.orderKey(known.clientId, known.orderId, known.permId)
        if key in self.statuses and not self._is_another(key, order.permId):
            self.statuses[key] = orderState.status

    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str) -> None:
        """Let our own table decide, since the libraries' lists of warnings differ: no error sets an order's status."""
        known = codes.meaning(errorCode, errorString)
        log.log(_level(known, errorCode), "code %s, id %s: %s", errorCode, reqId, errorString)
        self._hooks.notice(reqId, errorCode, errorString)
        trade = self.trades.get((self.clientId, reqId))
        if reqId in self.subscribers:
            self.subscribers[reqId].refused(errorCode, errorString)
        elif reqId in self._futures:
            if known is None or known.ends_request:
                self._refuse(reqId, errorCode, errorString)
        elif trade is not None:
            self._tell_of_order(trade.order, reqId, errorCode, errorString)

    def _refuse(self, request_id: int, code: int, text: str) -> None:
        self._endReq(request_id, ib_insync.wrapper.RequestError(request_id, code, text), success=False)
        self._results.pop(request_id, None)

    def _tell_of_order(self, order: Any, order_id: int, code: int, text: str) -> None:
        self.unanswered.pop((self.clientId, order_id), None)
        self._hooks.sink(
            types.OrderMessage(
                account=order.account,
                order_ref=order.orderRef,
                perm_id=mapping.integer(order.permId),
                code=code,
                message=text,
                time=self._hooks.now(),
            )
        )

    def order_report(self, key: Key) -> types.OrderReport | None:
        """The order as the broker has described it so far; None where it has not."""
        trade, order = self.trades.get(key), self.orders.get(key)
        if trade is None or order is None:
            return None
        filled, remaining = self._filled.get(key) or self._filled_by_executions(order)
        parent = self.trades.get((order.clientId, order.parentId)) if order.parentId else None
        return mapping.order_report(
            trade,
            order=order,
            status=self.statuses[key],
            parent_perm_id=mapping.integer(parent.order.permId) if parent else 0,
            filled=filled,
            remaining=remaining,
            tick=self._hooks.tick(trade.contract.conId),
            now=self._hooks.now(),
            client_id=self.clientId,
        )

    def filled(self, key: Key) -> Decimal:
        """How much of an order that the broker has described is known to be filled."""
        by_status = self._filled.get(key, (Decimal(0), Decimal(0)))[0]
        return max(by_status, self._filled_by_executions(self.orders[key])[0])

    def report_of(self, trade: Any) -> types.OrderReport:
        """The report of an order that the gateway has just listed."""
        order = trade.order
        key = self.orderKey(order.clientId, order.orderId, order.permId)
        if self.trades.get(key, trade) is not trade:
            return self._double(trade)
        report = self.order_report(key)
        if report is None:
            raise BrokerUnavailable(f"the gateway's description of order {order.permId} went with its connection")
        return report

    def _double(self, trade: Any) -> types.OrderReport:
        """An order whose id has another one that was listed after it: a broker may have made two of one change."""
        order = trade.order
        log.warning("the broker lists two orders as id %s of client %s", order.orderId, order.clientId)
        filled, remaining = self._filled_by_executions(order)
        return mapping.order_report(
            trade,
            order=order,
            status=trade.orderStatus.status,
            parent_perm_id=0,
            filled=filled,
            remaining=remaining,
            tick=self._hooks.tick(trade.contract.conId),
            now=self._hooks.now(),
            client_id=self.clientId,
        )

    def completed_report(self, trade: Any) -> types.OrderReport:
        """A completed order as the broker described it."""
        state = self.completed_states.get(trade.order.permId)
        if state is None:  # the connection ended between the answer and its use
            raise BrokerUnavailable("the list of finished orders went with the connection that told it")
        tick = self._hooks.tick(trade.contract.conId)
        return mapping.completed_report(trade, state, tick=tick, now=self._hooks.now())

    def live_orders(self, order_ref: str) -> list[tuple[tuple[int, int], Any]]:
        """This client's orders of that reference whose life is not known to be over."""
        return [
            (key, trade)
            for key, trade in self.trades.items()
            if trade.order.orderRef == order_ref
            and trade.order.clientId == self.clientId
            and isinstance(key, tuple)
            and self.statuses.get(key) not in DONE
        ]

    def _filled_by_executions(self, order: Any) -> tuple[Decimal, Decimal]:
        executions = [fill.execution for fill in self.fills.values() if fill.execution.permId == order.permId]
        filled = max((mapping.quantity(execution.cumQty) for execution in executions), default=Decimal(0))
        return filled, max(mapping.quantity(order.totalQuantity) - filled, Decimal(0))

    def _report(self, key: Key) -> None:
        if key in self._unreported:
            self._unreported.remove(key)
        report = self.order_report(key)
        if report is None:
            return
        known = self._reported.get(key)
        if known is None or replace(known, time=report.time) != report:
            self._reported[key] = report
            self._hooks.sink(report)

    # Fills

    def execDetails(self, reqId: int, contract: Any, execution: Any) -> None:
        """Report a fill when it is first seen on this connection, live or replayed."""
        is_new = execution.execId not in self.fills
        super().execDetails(reqId, contract, execution)
        if execution.clientId == self.clientId:
            self.ib.client.updateReqId(execution.orderId + 1)  # its id may not be given to another order
        if is_new:
            self._report_waiting()
            self._hooks.sink(self.execution_report(self.fills[execution.execId]))
            self._hooks.executed()

    def commissionReport(self, commissionReport: Any) -> None:
        """Report the cost of a fill when it is first told or told differently."""
        fill = self.fills.get(commissionReport.execId)
        report = mapping.commission_report(commissionReport, fill.execution if fill else None, now=self._hooks.now())
        super().commissionReport(commissionReport)
        known = self.commissions.get(report.exec_id)
        if known is None or replace(known, time=report.time) != report:
            self.commissions[report.exec_id] = report
            self._hooks.sink(report)

    def execution_report(self, fill: Any) -> types.ExecutionReport:
        """A fill with its cost where that is known already."""
        return mapping.execution_report(fill.contract, fill.execution, self.commissions.get(fill.execution.execId))

    # Account, the end of a batch

    def updateAccountValue(self, tag: str, val: str, currency: str, account: str) -> None:
        """Note that the account's values are changing; a set clock tells its time among them."""
        if tag == TIME_KEY:
            self._hooks.clock_moved(datetime.fromtimestamp(int(val), UTC))
            return
        super().updateAccountValue(tag, val, currency, account)
        self.told_at = system_now()
        self._hooks.account_values_changed()

    def updatePortfolio(self, contract: Any, *values: Any) -> None:
        """Note when the holding's price came."""
        super().updatePortfolio(contract, *values)
        self.told_at = self.priced_at[contract.conId] = system_now()

    def updateAccountTime(self, timestamp: str) -> None:
        """The end of a batch, which tells values that have changed only."""
        self.told_at, self.account_time = system_now(), timestamp[:LONGEST_TIME]

    def accountDownloadEnd(self, _account: str) -> None:
        """All of it has been told."""
        self.told_at = system_now()
        super().accountDownloadEnd(_account)

    def tcpDataArrived(self) -> None:
        """Any frame is a sign of life."""
        super().tcpDataArrived()
        self._hooks.heard()

    def connectAck(self) -> None:
        """TWS has named its version; whether somebody is logged in shows when it names accounts."""
        self.ib.greeted = True

    def tcpDataProcessed(self) -> None:
        """Report the orders whose orderStatus did not come with them."""
        super().tcpDataProcessed()
        self._report_waiting()

    def _report_waiting(self) -> None:
        for key in list(self._unreported):
            self._report(key)

    def fail_pending(self, reason: str) -> None:
        """End every request that still waits for an answer."""
        for future in list(self._futures.values()):
            if not future.done():
                future.set_exception(ConnectionError(reason))
                future.exception()
        self._futures.clear()


def _level(known: Meaning | None, code: int) -> int:
    """Nothing unknown passes unseen, and neither the daily notices nor good news on each connect drown it."""
    if known is None or known.kind is Kind.PERSON:
        return logging.WARNING
    return logging.DEBUG if codes.is_good_news(code) else logging.INFO
