"""The history over REST: events, orders, trades and decisions from our own records; the broker need not be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.audit.models import Event
from autotrader.core.live.documents import EventDocument, event_document
from autotrader.core.rest.kept_texts import KeptTexts
from autotrader.core.rest.limits import limits_of
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.paging import Page, Place
from autotrader.core.rest.permissions import may
from autotrader.core.rest.unchanged import told_again
from autotrader.core.rest.views import Endpoint
from trading.api.filters import DecisionFilters, EventFilters, OrderFilters, TradeFilters
from trading.models import Decision, Order, Trade
from trading.selectors import history, history_documents, history_stories
from trading.selectors.history import Lookups
from trading.selectors.pages.trades import FINAL, result_of
from trading.selectors.trade_costs import COLUMNS, fees_pending

# What a decision was made of, and who may see it.
PARTS = {
    "analyses": "trading.view_analysis",
    "verdicts": "trading.view_riskverdict",
    "orders": "trading.view_order",
}


@dataclass(frozen=True, slots=True)
class TradeDocument(history_documents.TradeDocument):
    """A round trip. `result` says what there is of one; `pnl`, after the commissions of both sides, is null unless it
    is final. `commission` is of the fills that have one; `fees_pending` more wait for the broker's word. What is no
    share is not reckoned, since its multiplier is not kept."""

    result: Literal["open", "commission awaited", "not reckoned", "final"]
    fees_pending: int


@dataclass(frozen=True, slots=True)
class DecisionStory:
    """One decision with what it was made of and what came of it; a part is null for who may not see such rows."""

    decision: history_documents.DecisionDocument
    analyses: list[history_documents.AnalysisDocument] | None
    verdicts: list[history_documents.VerdictDocument] | None
    orders: list[history_documents.OrderDocument] | None


def trade_document(row: Mapping[str, Any], waiting: int) -> dict[str, Any]:
    """A `TradeDocument` of a row of `TradesEndpoint.lookups`, `waiting` of whose fills have no commission yet."""
    result = result_of(row, waiting)
    told = history_documents.trade_document(row)
    return told | {"pnl": told["pnl"] if result == FINAL else None, "result": result, "fees_pending": waiting}


class HistoryEndpoint(ListEndpoint):
    """A list that may have a million rows: every filter is led by an index, the rest is looked at in windows."""

    lookups: Lookups
    texts: KeptTexts
    account_field = "account_id"
    strategy_field = "strategy_id"

    def is_by_time(self, asked: Mapping[str, str]) -> bool:
        return self.lookups.is_by_time(asked)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        answer = partial(super().get, request, *args, **kwargs)
        # What a limited key is shown hangs on its limits too.
        return answer() if limits_of(request).is_limited else told_again(request.get_full_path(), answer)

    def page(self, rows: QuerySet[Any, Any], asked: Mapping[str, str], place: Place | None, limit: int) -> Page:
        is_limited = limits_of(self.request).is_limited
        return history.history_page(rows, self.lookups, self.checked(asked), place, limit, is_limited=is_limited)

    def documents(self, rows: Any) -> list[Any]:
        return list(self.texts.of(rows))


class EventsEndpoint(HistoryEndpoint):
    """GET: the audit log, the newest event first."""

    permissions = {"GET": "audit.view_event"}
    answers = {"GET": EventDocument}
    filterset_class = EventFilters
    lookups = history.EVENTS
    account_field = "account"
    strategy_field = ""
    texts = KeptTexts(lambda row, _: event_document(SimpleNamespace(**row)))

    def queryset(self) -> QuerySet[Any, Any]:
        return Event.objects.all()


class OrdersEndpoint(HistoryEndpoint):
    """GET: orders, the newest first."""

    permissions = {"GET": "trading.view_order"}
    answers = {"GET": history_documents.OrderDocument}
    filterset_class = OrderFilters
    lookups = history.ORDERS
    texts = KeptTexts(lambda row, _: history_documents.order_document(row))

    def queryset(self) -> QuerySet[Any, Any]:
        return Order.objects.all()


class TradesEndpoint(HistoryEndpoint):
    """GET: round trips, the newest first."""

    permissions = {"GET": "trading.view_trade"}
    answers = {"GET": TradeDocument}
    filterset_class = TradeFilters
    lookups = replace(history.TRADES, read=(*history.TRADES.read, *COLUMNS))
    texts = KeptTexts(trade_document)

    def queryset(self) -> QuerySet[Any, Any]:
        return Trade.objects.all()

    def documents(self, rows: Any) -> list[Any]:
        keys, waiting = rows.keys(), fees_pending(list(rows))
        return list(self.texts.of(rows, [waiting.get(key, 0) for key in keys]))


class DecisionsEndpoint(HistoryEndpoint):
    """GET: decisions with the controls' words in short, the newest first."""

    permissions = {"GET": "trading.view_decision"}
    answers = {"GET": history_documents.DecisionDocument}
    filterset_class = DecisionFilters
    lookups = history.DECISIONS
    texts = KeptTexts(history_documents.decision_document)

    def queryset(self) -> QuerySet[Any, Any]:
        return Decision.objects.all()

    def documents(self, rows: Any) -> list[Any]:
        return list(self.texts.of(rows, history_documents.words_on(rows.keys())))


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
    """GET: one decision with its analyses, every control's word and its orders, each for who may see them."""

    permissions = {"GET": "trading.view_decision"}
    answers = {"GET": DecisionStory}
    etag = True

    def get(self, request: Request, pk: int) -> Response:
        row = history_stories.decision_row(pk)
        limits_of(request).check(account=row["account_id"], strategy=row["strategy_id"])
        hidden = {part: None for part, permission in PARTS.items() if not may(request, permission)}
        return Response(history_stories.decision_story(row) | hidden)
