"""A trade's result as the admin tells it: the amount where it is final, else what is still missing."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils.html import format_html
from django.utils.safestring import SafeString

from autotrader.core.formats import gain, price
from trading.models import Fill
from trading.selectors.pages.trades import AWAITED, FINAL, NOT_RECKONED, OPEN
from trading.selectors.trade_costs import SHARES, TradeResult

NO_STRATEGY = Value(0)


def result_told(result: TradeResult) -> SafeString:
    """In the trade's currency."""
    if result.trade.state != "CLOSED" or result.trade.pnl is None:
        return SafeString("not yet")
    if not result.is_reckoned:
        return SafeString("not reckoned: no share")
    if result.fees_pending:
        return SafeString("commission awaited")
    return format_html("{} {}", gain(result.pnl), result.trade.instrument.currency)


def costs_told(result: TradeResult) -> str:
    """The commissions of all fills, in the trade's currency; no amount while one is to come."""
    if result.fees_pending:
        return "awaited"
    return f"{price(result.trade.commission)} {result.trade.instrument.currency}"


def with_results(trades: QuerySet[Any]) -> QuerySet[Any]:
    """The trades as `results_of` reckons them, for a file: `result` in the words of the list of trades, `final_pnl`
    and `all_commissions` only where nothing is missing."""
    fills = Fill.objects.filter(superseded=False, commission__isnull=True)
    # A fill that ends one trade and begins the next is linked to the later one; it costs both.
    turning = fills.annotate(ledger=Coalesce("order__strategy_id", NO_STRATEGY)).filter(
        account=OuterRef("account_id"),
        time=OuterRef("closed_at"),
        order__instrument=OuterRef("instrument_id"),
        ledger=Coalesce(OuterRef("strategy_id"), NO_STRATEGY),
    )
    is_awaited = Exists(fills.filter(trade=OuterRef("pk"))) | Exists(turning)
    result = Case(
        When(~Q(state="CLOSED") | Q(pnl__isnull=True), then=Value(OPEN)),
        When(~Q(instrument__sec_type__in=SHARES), then=Value(NOT_RECKONED)),
        When(is_awaited, then=Value(AWAITED)),
        default=Value(FINAL),
    )
    found: QuerySet[Any] = trades.annotate(
        result=result,
        final_pnl=Case(When(result=FINAL, then=F("pnl"))),
        all_commissions=Case(When(~is_awaited, then=F("commission"))),
    )
    return found
