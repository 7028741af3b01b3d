"""What a word typed into a search may be: each finder answers with a condition that an index serves, or with None."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Model, Q, QuerySet

from autotrader.core.admin_lists import Finder, number_in
from autotrader.core.admin_lists import by_field as by_field
from autotrader.core.admin_lists import by_newest as by_newest
from autotrader.core.admin_lists import by_number as by_number
from trading.models import Account, Approval, Decision, Fill, Instrument, Order, OrderRequest, WorkflowExecution
from trading.models.account import AccountKind

MOST = 500  # ids that one condition names


def by_symbol(path: str = "instrument") -> Finder:
    """Rows of the instruments with this symbol; `path` leads to the instrument."""
    return lambda word: _among(path, Instrument.objects.filter(symbol=word.upper()).values_list("pk", flat=True))


def by_number_in_accounts(path: str) -> Finder:
    """Rows with the broker's number, which is unique, and found, within an account."""

    def find(word: str) -> Q | None:
        number = number_in(word)
        return None if number is None else Q(**{path: number, "account__in": _accounts()})

    return find


def by_field_in_accounts(path: str) -> Finder:
    """Rows with the broker's id of an execution, which is unique, and found, within an account."""
    return lambda word: Q(**{path: word, "account__in": _accounts()})


def by_order_ref(path: str) -> Finder:
    """Rows that hang on the order, or on an order of the group, of this reference; `path` leads to the order."""

    def find(word: str) -> Q | None:
        orders = Order.objects.filter(Q(order_ref=word) | Q(group=word))
        return _among(path, orders.order_by().values_list("pk", flat=True))

    return find


def by_trade_of_order(word: str) -> Q | None:
    """The trades that orders of this reference, or of this group, have a part in."""
    orders = Order.objects.filter(Q(order_ref=word) | Q(group=word)).order_by().values_list("pk", flat=True)
    trades = Fill.objects.filter(order__in=list(orders[:MOST]), trade__isnull=False)
    return _among("pk", trades.order_by().values_list("trade", flat=True))


def by_decision(word: str) -> Q | None:
    """The decisions that orders of this reference, or of this group, rest on."""
    orders = Order.objects.filter(Q(order_ref=word) | Q(group=word), decision__isnull=False)
    return _among("pk", orders.order_by().values_list("decision", flat=True))


def by_request_of_order(word: str) -> Q | None:
    """The requests that orders of this reference, or of this group, came from."""
    orders = Order.objects.filter(Q(order_ref=word) | Q(group=word), request__isnull=False)
    return _among("pk", orders.order_by().values_list("request", flat=True))


def by_cycle_of_symbol(word: str) -> Q | None:
    """The latest cycles that had work in the instruments with this symbol."""
    instruments = list(Instrument.objects.filter(symbol=word.upper()).values_list("pk", flat=True)[:MOST])
    if not instruments:
        return None
    works = WorkflowExecution.objects.filter(instrument__in=instruments).order_by("-pk")
    return _among("pk", works.values_list("cycle", flat=True))


def by_execution(path: str = "execution") -> Finder:
    """Rows of the execution, or of every execution of the cycle, with this correlation id."""
    return lambda word: _q(path, executions_of(word))


def by_decision_of_execution(path: str = "decision") -> Finder:
    """Rows of the decisions that were made under this correlation id."""

    def find(word: str) -> Q | None:
        executions = executions_of(word)
        if not executions:
            return None
        return _among(path, Decision.objects.filter(execution__in=executions).values_list("pk", flat=True))

    return find


def by_dispatch(word: str) -> Q | None:
    """The sendings of approvals and requests: of the instruments with this symbol, of the order or the group of this
    reference, or under this correlation id."""
    orders = Order.objects.filter(Q(order_ref=word) | Q(group=word)).order_by()
    instruments = Instrument.objects.filter(symbol=word.upper()).values_list("pk", flat=True)[:MOST]
    under = Decision.objects.filter(execution__in=executions_of(word)).values_list("pk", flat=True)[:MOST]
    # One column at a time: no index serves a condition that is an OR over tables.
    causes: list[tuple[type[Model], str, list[Any]]] = [
        (Approval, "order", list(orders.values_list("pk", flat=True)[:MOST])),
        (Approval, "instrument", list(instruments)),
        (Approval, "decision", list(under)),
        (OrderRequest, "pk", [pk for pk in orders.values_list("request", flat=True)[:MOST] if pk is not None]),
        (OrderRequest, "instrument", list(instruments)),
        (OrderRequest, "correlation_id", [word]),
    ]
    found: dict[type[Model], list[int]] = {Approval: [], OrderRequest: []}
    for model, column, values in causes:
        if values:
            rows = model._default_manager.filter(**{f"{column}__in": values}).order_by("-pk")
            found[model] += rows.values_list("pk", flat=True)[:MOST]
    parts = [_q("approval", found[Approval]), _q("request", found[OrderRequest])]
    return reduce(or_, [part for part in parts if part is not None]) if any(found.values()) else None


def executions_of(correlation_id: str) -> list[int]:
    """The executions under a correlation id: that of a cycle, or of one execution, "<cycle's>.<number>"."""
    cycle, _, number = correlation_id.partition(":")[0].partition(".")
    rows = WorkflowExecution.objects.filter(cycle__correlation_id=cycle)
    if number:
        rows = rows.filter(pk=number_in(number) or 0)
    return list(rows.order_by().values_list("pk", flat=True)[:MOST])


def _among(path: str, ids: QuerySet[Any, Any]) -> Q | None:
    return _q(path, list(ids[:MOST]))


def _q(path: str, ids: list[Any]) -> Q | None:
    return Q(**{f"{path}__in": ids}) if ids else None


def _accounts() -> list[str]:
    return list(Account.objects.exclude(kind=AccountKind.REPLAY).order_by("pk").values_list("pk", flat=True)[:MOST])
