"""The history over REST: events, orders, trades and decisions from our own records; the broker need not be there."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.audit.models import Event
from autotrader.core.live.documents import EventDocument, event_document
from autotrader.core.rest.limits import limits_of
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.paging import Page, Place
from autotrader.core.rest.permissions import may
from autotrader.core.rest.views import Endpoint
from trading.api.filters import DecisionFilters, EventFilters, OrderFilters, TradeFilters
from trading.models import Decision, Order, Trade
from trading.selectors import history, history_documents, history_stories
from trading.selectors.history import Lookups


class HistoryEndpoint(ListEndpoint):
    """A list that may have a million rows: every filter is led by an index, the rest is looked at in windows."""

    lookups: Lookups
    account_field = "account_id"
    strategy_field = "strategy_id"

    def is_by_time(self, asked: Mapping[str, str]) -> bool:
        return self.lookups.is_by_time(asked)

    def page(self, rows: QuerySet[Any, Any], asked: Mapping[str, str], place: Place | None, limit: int) -> Page:
        is_limited = limits_of(self.request).is_limited
        return history.history_page(rows, self.lookups, self.checked(asked), place, limit, is_limited=is_limited)


class EventsEndpoint(HistoryEndpoint):
    """GET: the audit log, the newest event first."""

    permissions = {"GET": "audit.view_event"}
    answers = {"GET": EventDocument}
    filterset_class = EventFilters
    lookups = history.EVENTS
    account_field = "account"
    strategy_field = ""

    def queryset(self) -> QuerySet[Any, Any]:
        return Event.objects.all()

    def document(self, row: Any) -> dict[str, Any]:
        return event_document(SimpleNamespace(**row))


class OrdersEndpoint(HistoryEndpoint):
    """GET: orders, the newest first."""

    permissions = {"GET": "trading.view_order"}
    answers = {"GET": history_documents.OrderDocument}
    filterset_class = OrderFilters
    lookups = history.ORDERS

    def queryset(self) -> QuerySet[Any, Any]:
        return Order.objects.all()

    def document(self, row: Any) -> dict[str, Any]:
        return history_documents.order_document(row)


class TradesEndpoint(HistoryEndpoint):
    """GET: round trips, the newest first."""

    permissions = {"GET": "trading.view_trade"}
    answers = {"GET": history_documents.TradeDocument}
    filterset_class = TradeFilters
    lookups = history.TRADES

    def queryset(self) -> QuerySet[Any, Any]:
        return Trade.objects.all()

    def document(self, row: Any) -> dict[str, Any]:
        return history_documents.trade_document(row)


class DecisionsEndpoint(HistoryEndpoint):
    """GET: decisions with the controls' words in short, the newest first."""

    permissions = {"GET": "trading.view_decision"}
    answers = {"GET": history_documents.DecisionDocument}
    filterset_class = DecisionFilters
    lookups = history.DECISIONS

    def queryset(self) -> QuerySet[Any, Any]:
        return Decision.objects.all()

    def documents(self, rows: Any) -> list[dict[str, Any]]:
        return history_documents.decision_documents(rows)


class OrderStoryEndpoint(Endpoint):
    """GET: one order with its fills, its changes and its events."""

    permissions = {"GET": "trading.view_order"}
    answers = {"GET": history_documents.OrderStory}
    etag = True

    def get(self, request: Request, order_ref: str) -> Response:
        row = history_stories.order_row(order_ref)
        limits_of(request).check(account=row["account_id"], strategy=row["strategy_id"])
        return Response(history_stories.order_story(row, with_events=may(request, "audit.view_event")))


class DecisionStoryEndpoint(Endpoint):
    """GET: one decision with its analyses, every control's word and its orders."""

    permissions = {"GET": "trading.view_decision"}
    answers = {"GET": history_documents.DecisionStory}
    etag = True

    def get(self, request: Request, pk: int) -> Response:
        row = history_stories.decision_row(pk)
        limits_of(request).check(account=row["account_id"], strategy=row["strategy_id"])
        return Response(history_stories.decision_story(row))
