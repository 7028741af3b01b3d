"""The addresses below /api/; whatever stands here not is answered 404 in the envelope."""

from __future__ import annotations

from django.urls import path, re_path

from autotrader.core.rest.views import UnknownEndpoint
from trading.api.account import PnlEndpoint, PositionsEndpoint, SummaryEndpoint
from trading.api.approvals import ApprovalEndpoint, ApprovalsEndpoint, ApproveEndpoint, RejectEndpoint
from trading.api.cycles import CycleCancelEndpoint, CycleEndpoint, CyclesEndpoint
from trading.api.discrepancies import DiscrepanciesEndpoint, DiscrepancyEndpoint, ResolveEndpoint
from trading.api.halt import HaltEndpoint, ReleaseEndpoint
from trading.api.history import (
    DecisionsEndpoint,
    DecisionStoryEndpoint,
    EventsEndpoint,
    OrdersEndpoint,
    OrderStoryEndpoint,
    TradesEndpoint,
)
from trading.api.instruments import InstrumentEndpoint, InstrumentsEndpoint
from trading.api.live import LiveAccountEndpoint, LiveOpenOrdersEndpoint, LivePositionsEndpoint
from trading.api.market import HistoricalEndpoint, QuoteEndpoint, QuotesEndpoint
from trading.api.orders import CancelEndpoint, ModifyEndpoint, PlaceEndpoint, PreviewEndpoint, StatusEndpoint
from trading.api.performance import PerformanceEndpoint
from trading.api.risk_profiles import RiskProfileEndpoint, RiskProfilesEndpoint
from trading.api.strategies import (
    DisableEndpoint,
    EnableEndpoint,
    ResumeEndpoint,
    StrategiesEndpoint,
    StrategyEndpoint,
)
from trading.api.withdrawals import WithdrawEndpoint
from trading.api.workflows import WorkflowEndpoint, WorkflowsEndpoint

urlpatterns = [
    path("account/pnl", PnlEndpoint.as_view(), name="api_account_pnl"),
    path("account/positions", PositionsEndpoint.as_view(), name="api_account_positions"),
    path("account/summary", SummaryEndpoint.as_view(), name="api_account_summary"),
    path("approvals", ApprovalsEndpoint.as_view(), name="api_approvals"),
    path("approvals/<int:pk>", ApprovalEndpoint.as_view(), name="api_approval"),
    path("approvals/<int:pk>/approve", ApproveEndpoint.as_view(), name="api_approval_approve"),
    path("approvals/<int:pk>/reject", RejectEndpoint.as_view(), name="api_approval_reject"),
    path("approvals/<int:pk>/withdraw", WithdrawEndpoint.as_view(), name="api_approval_withdraw"),
    path("cycles", CyclesEndpoint.as_view(), name="api_cycles"),
    path("cycles/<int:pk>", CycleEndpoint.as_view(), name="api_cycle"),
    path("cycles/<int:pk>/cancel", CycleCancelEndpoint.as_view(), name="api_cycle_cancel"),
    path("discrepancies", DiscrepanciesEndpoint.as_view(), name="api_discrepancies"),
    path("discrepancies/<int:pk>", DiscrepancyEndpoint.as_view(), name="api_discrepancy"),
    path("discrepancies/<int:pk>/resolve", ResolveEndpoint.as_view(), name="api_discrepancy_resolve"),
    path("halt", HaltEndpoint.as_view(), name="api_halt"),
    path("halt/release", ReleaseEndpoint.as_view(), name="api_halt_release"),
    path("history/performance", PerformanceEndpoint.as_view(), name="api_history_performance"),
    path("live/account-summary", LiveAccountEndpoint.as_view(), name="api_live_account"),
    path("live/open-orders", LiveOpenOrdersEndpoint.as_view(), name="api_live_open_orders"),
    path("live/positions", LivePositionsEndpoint.as_view(), name="api_live_positions"),
    path("market/historical", HistoricalEndpoint.as_view(), name="api_market_historical"),
    path("market/quote", QuoteEndpoint.as_view(), name="api_market_quote"),
    path("market/quotes", QuotesEndpoint.as_view(), name="api_market_quotes"),
    path("history/decisions", DecisionsEndpoint.as_view(), name="api_history_decisions"),
    path("history/decisions/<int:pk>", DecisionStoryEndpoint.as_view(), name="api_history_decision"),
    path("history/events", EventsEndpoint.as_view(), name="api_history_events"),
    path("history/orders", OrdersEndpoint.as_view(), name="api_history_orders"),
    path("history/orders/<str:order_ref>", OrderStoryEndpoint.as_view(), name="api_history_order"),
    path("history/trades", TradesEndpoint.as_view(), name="api_history_trades"),
    path("instruments", InstrumentsEndpoint.as_view(), name="api_instruments"),
    path("instruments/<int:pk>", InstrumentEndpoint.as_view(), name="api_instrument"),
    path("orders/place", PlaceEndpoint.as_view(), name="api_order_place"),
    path("orders/preview", PreviewEndpoint.as_view(), name="api_order_preview"),
    path("orders/<str:order_ref>/cancel", CancelEndpoint.as_view(), name="api_order_cancel"),
    path("orders/<str:order_ref>/modify", ModifyEndpoint.as_view(), name="api_order_modify"),
    path("orders/<str:order_ref>/status", StatusEndpoint.as_view(), name="api_order_status"),
    path("risk-profiles", RiskProfilesEndpoint.as_view(), name="api_risk_profiles"),
    path("risk-profiles/<int:pk>", RiskProfileEndpoint.as_view(), name="api_risk_profile"),
    path("strategies", StrategiesEndpoint.as_view(), name="api_strategies"),
    path("strategies/<int:pk>", StrategyEndpoint.as_view(), name="api_strategy"),
    path("strategies/<int:pk>/disable", DisableEndpoint.as_view(), name="api_strategy_disable"),
    path("strategies/<int:pk>/enable", EnableEndpoint.as_view(), name="api_strategy_enable"),
    path("strategies/<int:pk>/resume", ResumeEndpoint.as_view(), name="api_strategy_resume"),
    path("workflows", WorkflowsEndpoint.as_view(), name="api_workflows"),
    path("workflows/<int:pk>", WorkflowEndpoint.as_view(), name="api_workflow"),
    re_path(r"^", UnknownEndpoint.as_view()),
]
