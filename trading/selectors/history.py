"""The desk's history: which rows a list shows, and by which index they are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Q, QuerySet

from autotrader.core.rest.paging import Page, Place, Wanted, page_of
from trading.models import (
    Cycle,
    Decision,
    Instrument,
    Order,
    OrderChange,
    OrderRequest,
    Strategy,
    WorkflowExecution,
)

Rows = QuerySet[Any, Any]
MOST_CAUSED = 5_000
EVENT_COLUMNS = (
    "seq", "at", "market_at", "type", "account", "actor", "correlation_id", "subject", "subject_version", "old_state",
    "new_state", "cause", "document", "quarantined", "hash",
)  # fmt: skip
ORDER_COLUMNS = (
    "id", "order_ref", "perm_id", "account_id", "strategy__name", "instrument__symbol", "role", "group",
    "parent__order_ref", "side", "quantity", "order_type", "limit_price", "stop_price", "tif", "state", "broker_status",
    "filled_quantity", "average_price", "reason", "broker_detail", "decision_id", "request_id", "version",
    "cancel_requested_at", "created_at", "market_at", "sending_at", "expires_at", "ended_at",
    "decision__execution_id", "decision__execution__cycle__correlation_id", "request__correlation_id",
)  # fmt: skip
TRADE_COLUMNS = (
    "id", "account_id", "strategy__name", "instrument__symbol", "decision_id", "side", "state", "quantity",
    "open_quantity", "entry_price", "exit_price", "commission", "pnl", "opened_at", "closed_at",
)  # fmt: skip
DECISION_COLUMNS = (
    "id", "execution_id", "execution__cycle_id", "execution__cycle__correlation_id", "account_id", "strategy__name",
    "instrument__symbol", "type", "purpose", "state", "decided_by", "strategy_used", "claimed_price", "price",
    "target_price", "stop_price", "limit_price", "bid", "ask", "quote_at", "reward_ratio", "profit_margin",
    "position_quantity", "quantity", "confidence", "rationale", "evidence", "reasons", "at", "market_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lookups:
    """How a list's parameters find its rows.

    `columns`: parameter → lookup. `tight` leave few rows and lead whatever else is asked; then the times in `times`,
    which order by `time`; then `loose`, the ones that leave fewest rows first. Each has an index in the list's order.
    """

    columns: Mapping[str, str]
    tight: tuple[str, ...]
    times: tuple[str, ...]
    time: str
    loose: tuple[str, ...]
    key: str = "id"
    read: tuple[str, ...] = ()
    caused: Callable[[str], list[Any]] | None = None

    def is_by_time(self, asked: Mapping[str, Any]) -> bool:
        """Whether these parameters are found by time."""
        return any(name in asked for name in self.times) and not any(name in asked for name in self.tight)

    def wanted(self, asked: Mapping[str, Any]) -> Wanted:
        """The rows that are asked for; a list of values is one of them."""
        conditions = {name: Q(**{self._lookup(name, value): value}) for name, value in asked.items()}
        led = self._leading(asked)
        driven = [conditions.pop(name) for name in led]
        by_time = self.time if self.is_by_time(asked) else ""
        return Wanted(_all(driven), _all(list(conditions.values())), by_time, self.key, columns=self.read)

    def _lookup(self, name: str, value: Any) -> str:
        column = self.columns[name]
        return f"{column}__in" if isinstance(value, (list, tuple)) else column

    def _leading(self, asked: Mapping[str, Any]) -> list[str]:
        tight = [name for name in self.tight if name in asked][:1]
        if tight:
            return tight
        if self.is_by_time(asked):
            return [name for name in self.times if name in asked]
        return [name for name in self.loose if name in asked and not isinstance(asked[name], list)][:1]


def _all(conditions: list[Q]) -> Q:
    found = Q()
    for condition in conditions:
        found &= condition
    return found


def history_page(
    rows: Rows, lookups: Lookups, asked: Mapping[str, Any], place: Place | None, limit: int, *,
    is_limited: bool,
) -> Page:  # fmt: skip
    """A page of the rows that `asked` names; `is_limited`: the rows are narrowed by a key's limits already."""
    wanted = lookups.wanted(_resolved(lookups, asked))
    return page_of(rows, replace(wanted, is_narrowed=is_limited), place, limit)


def _resolved(lookups: Lookups, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Names made to keys; what is not known stands for no row."""
    found = dict(asked)
    if "symbol" in found:
        found["symbol"] = _one(list(Instrument.objects.filter(symbol=found["symbol"]).values_list("pk", flat=True)))
    if "strategy" in found:
        found["strategy"] = _one(list(Strategy.objects.filter(name=found["strategy"]).values_list("pk", flat=True)))
    if "correlation_id" in found:
        found["correlation_id"] = lookups.caused(found["correlation_id"]) if lookups.caused else []
    return found


def _one(keys: list[int]) -> int | list[int]:
    return keys[0] if len(keys) == 1 else keys


def orders_caused(correlation_id: str) -> list[int]:
    """The orders that stem from a cycle, an execution or a request of this id."""
    requests = _keys(OrderRequest.objects.filter(correlation_id=correlation_id))
    asked = _keys(Order.objects.filter(request__in=requests)) if requests else []
    decided = decisions_caused(correlation_id)
    return asked + (_keys(Order.objects.filter(decision__in=decided)) if decided else [])


def decisions_caused(correlation_id: str) -> list[int]:
    """The decisions of a cycle of this id, or of the execution whose id it is."""
    cycle, _, execution = correlation_id.partition(".")
    executions = _executions(cycle)
    if execution:
        executions = [pk for pk in executions if str(pk) == execution]
    return _keys(Decision.objects.filter(execution__in=executions)) if executions else []


def _executions(correlation_id: str) -> list[int]:
    cycles = _keys(Cycle.objects.filter(correlation_id=correlation_id))
    return _keys(WorkflowExecution.objects.filter(cycle__in=cycles)) if cycles else []


def _keys(rows: QuerySet[Any, Any]) -> list[int]:
    """The keys, found step by step by their own index: an order would lead the planner to another one."""
    return list(rows.order_by().values_list("pk", flat=True)[:MOST_CAUSED])


def correlations_caused(correlation_id: str) -> list[str]:
    """The ids under which everything is recorded that this one caused: of executions, orders and cancels too."""
    orders = orders_caused(correlation_id)
    changes = _keys(OrderChange.objects.filter(order__in=orders)) if orders else []
    return [
        correlation_id,
        *(f"{correlation_id}.{pk}" for pk in _executions(correlation_id)),
        *(f"order.{pk}" for pk in orders),
        *(f"cancel.{pk}" for pk in changes),
    ]


def orders() -> Rows:
    """Orders with what they belong to, as dicts."""
    rows: Rows = Order.objects.values(*ORDER_COLUMNS)
    return rows


def decisions() -> Rows:
    """Decisions as dicts."""
    rows: Rows = Decision.objects.values(*DECISION_COLUMNS)
    return rows


EVENTS = Lookups(
    columns={
        "type": "type", "subject": "subject", "account": "account", "actor": "actor",
        "correlation_id": "correlation_id", "after": "at__gt", "before": "at__lt", "after_id": "seq__gt",
    },
    tight=("correlation_id", "subject"),
    times=("after", "before"),
    time="at",
    loose=("actor", "type", "account", "after_id"),
    key="seq",
    read=EVENT_COLUMNS,
    caused=correlations_caused,
)  # fmt: skip
_OWNED = {"account": "account", "strategy": "strategy", "symbol": "instrument", "state": "state", "side": "side"}
ORDERS = Lookups(
    columns={
        **_OWNED, "role": "role", "from": "created_at__gte", "to": "created_at__lt", "correlation_id": "id",
    },
    tight=("correlation_id",),
    times=("from", "to"),
    time="created_at",
    loose=("symbol", "strategy", "state", "role", "account"),
    read=ORDER_COLUMNS,
    caused=orders_caused,
)  # fmt: skip
TRADES = Lookups(
    columns={**_OWNED, "from": "opened_at__gte", "to": "opened_at__lt"},
    tight=(),
    times=("from", "to"),
    time="opened_at",
    loose=("symbol", "strategy", "state", "account"),
    read=TRADE_COLUMNS,
)
DECISIONS = Lookups(
    columns={**_OWNED, "type": "type", "from": "at__gte", "to": "at__lt", "correlation_id": "id"},
    tight=("correlation_id",),
    times=("from", "to"),
    time="at",
    loose=("symbol", "strategy", "state", "type", "account"),
    read=DECISION_COLUMNS,
    caused=decisions_caused,
)
