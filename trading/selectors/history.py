"""The desk's history: which rows a list shows, and by which index they are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Q, QuerySet

from autotrader.core.audit.models import Event
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
from trading.selectors.orders import change_subject

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
CAUSE_COLUMNS = (
    "id", "decision__execution_id", "decision__execution__cycle__correlation_id", "request__correlation_id",
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
    `caused`: the values of `correlation_id`'s column that stem from an id, or the condition that finds their rows.
    """

    columns: Mapping[str, str]
    tight: tuple[str, ...]
    times: tuple[str, ...]
    time: str
    loose: tuple[str, ...]
    key: str = "id"
    read: tuple[str, ...] = ()
    caused: Callable[[str], list[Any] | Q] | None = None

    def is_by_time(self, asked: Mapping[str, Any]) -> bool:
        """Whether these parameters are found by time."""
        return any(name in asked for name in self.times) and not any(name in asked for name in self.tight)

    def wanted(self, asked: Mapping[str, Any]) -> Wanted:
        """The rows that are asked for; a list of values is one of them, a Q a condition as it stands."""
        conditions = {
            name: value if isinstance(value, Q) else Q(**{self._lookup(name, value): value})
            for name, value in asked.items()
        }
        led = self._leading(asked)
        driven = [conditions.pop(name) for name in led]
        by_time = self.time if self.is_by_time(asked) else ""
        return Wanted(_all(driven), _all(list(conditions.values())), by_time, self.key, columns=self.read)

    def _lookup(self, name: str, value: Any) -> str:
        column = self.columns[name]
        return f"{column}__in" if isinstance(value, (list, tuple)) else column

    def _leading(self, asked: Mapping[str, Any]) -> list[str]:
        # Of nothing at all no other condition needs to look for rows.
        nothing = [name for name, value in asked.items() if isinstance(value, list) and not value][:1]
        tight = [name for name in self.tight if name in asked][:1]
        if nothing or tight:
            return nothing or tight
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


def history_count(rows: Rows, lookups: Lookups, asked: Mapping[str, Any], most: int) -> int:
    """How many rows `asked` names; never more than `most` are counted."""
    wanted = lookups.wanted(_resolved(lookups, asked))
    return rows.filter(wanted.driven, wanted.rest).order_by()[:most].count()


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
    """The orders that stem from a cycle, an execution or a request of this id, and those that it changed or cancelled:
    an exit may leave as a change of a target that stands."""
    orders, changed = _caused(correlation_id)
    return list(dict.fromkeys([*orders, *changed.values()]))


def _caused(correlation_id: str) -> tuple[list[int], dict[int, int]]:
    """The orders of this id, and its changes of any order: change → order."""
    requests = _keys(OrderRequest.objects.filter(correlation_id=correlation_id))
    causes = {"request__in": requests, "decision__in": decisions_caused(correlation_id)}
    orders: list[int] = []
    changed: dict[int, int] = {}
    for column, keys in causes.items():
        if keys:
            changes = OrderChange.objects.filter(**{column: keys}).order_by()
            orders += _keys(Order.objects.filter(**{column: keys}))
            changed |= dict(changes.values_list("pk", "order_id")[:MOST_CAUSED])
    return orders, changed


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


def events_caused(correlation_id: str) -> Q:
    """The events of everything that this id caused: those of executions, orders and cancels have ids of their own. What
    the broker says of another's order that it changed is recorded under that one's id: it counts from the change on."""
    orders, changed = _caused(correlation_id)
    changes = _keys(OrderChange.objects.filter(order__in=orders)) if orders else []
    ids = [
        correlation_id,
        *(f"{correlation_id}.{pk}" for pk in _executions(correlation_id)),
        *(f"order.{pk}" for pk in {*orders, *changed.values()}),
        *(f"cancel.{pk}" for pk in {*changes, *changed}),
    ]
    own = set(orders)
    others = {change: order for change, order in changed.items() if order not in own}
    return Q(correlation_id__in=ids) | (_followed(others) if others else Q())


def _followed(changed: Mapping[int, int]) -> Q:
    """What was recorded of these orders (change → order) since the first of the changes was to leave."""
    changes = OrderChange.objects.filter(pk__in=list(changed)).select_related("order").order_by()
    begun = Event.objects.filter(subject__in=[change_subject(change) for change in changes]).order_by()
    since = min(begun.values_list("seq", flat=True), default=None)
    touched = Order.objects.filter(pk__in=list(changed.values())).order_by().values(*CAUSE_COLUMNS)
    return Q() if since is None else Q(correlation_id__in=sorted({cause_of(row) for row in touched}), seq__gt=since)


def cause_of(row: Mapping[str, Any]) -> str:
    """The id under which the broker's words on an order are recorded, of a row with `CAUSE_COLUMNS`."""
    cycle = row["decision__execution__cycle__correlation_id"]
    if cycle is not None:
        return f"{cycle}.{row['decision__execution_id']}"
    return row["request__correlation_id"] or f"order.{row['id']}"


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
    caused=events_caused,
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
