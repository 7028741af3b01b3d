"""The addresses of the pages outside the admin."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from trading.web import approvals, cycles, decisions, desk, halt, orders, performance, portfolio, strategies, trades

urlpatterns = [
    path("login/", LoginView.as_view(template_name="web/login.html", next_page="approvals"), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("desk/", desk.desk_page, name="desk"),
    *(path(f"desk/{panel.name}/", desk.panel_view(panel), name=f"desk_{panel.name}") for panel in desk.PANELS),
    path("halt/", halt.halt_page, name="halt"),
    path("halt/now/", halt.halt_now, name="halt_now"),
    path("approvals/", approvals.approval_list, name="approvals"),
    path("approvals/<int:pk>/", approvals.approval_page, name="approval"),
    path("approvals/<int:pk>/now/", approvals.approval_now, name="approval_now"),
    path("approvals/<int:pk>/chart/<int:analysis>.png", approvals.approval_chart, name="approval_chart"),
    path("orders/", orders.order_list, name="orders"),
    path("orders.csv", orders.order_csv, name="orders_csv"),
    path("orders/<str:order_ref>/", orders.order_page, name="order"),
    path("orders/<str:order_ref>/now/", orders.order_now, name="order_now"),
    path("orders/<str:order_ref>/cancel/", orders.order_cancel, name="order_cancel"),
    path("panels/orders/", orders.order_rows, name="orders_rows"),
    path("trades/", trades.trade_list, name="trades"),
    path("trades.csv", trades.trade_csv, name="trades_csv"),
    path("panels/trades/", trades.trade_rows, name="trades_rows"),
    path("decisions/", decisions.decision_list, name="decisions"),
    path("decisions/<int:pk>/", decisions.decision_page, name="decision"),
    path("decisions/<int:pk>/bars/<int:analysis>.json", decisions.decision_bars, name="decision_bars"),
    path("decisions/<int:pk>/chart/<int:analysis>.png", decisions.decision_picture, name="decision_picture"),
    path("decisions/<int:pk>/<str:part>/", decisions.decision_part, name="decision_part"),
    path("cycles/", cycles.cycle_list, name="cycles"),
    path("cycles/<int:pk>/", cycles.cycle, name="cycle"),
    path("cycles/<int:pk>/now/", cycles.cycle_now, name="cycle_now"),
    path("cycles/<int:pk>/cancel/", cycles.cycle_cancelled, name="cycle_cancel"),
    path("executions/<int:pk>/", cycles.execution, name="execution"),
    path("executions/<int:pk>/now/", cycles.execution_now, name="execution_now"),
    path("panels/cycles/", cycles.cycles_now, name="cycles_now"),
    path("strategies/", strategies.strategy_list, name="strategies"),
    path("strategies/<int:pk>/", strategies.strategy, name="strategy"),
    path("strategies/<int:pk>/head/", strategies.strategy_head, name="strategy_head"),
    path("strategies/<int:pk>/work/", strategies.strategy_did, name="strategy_work"),
    path("strategies/<int:pk>/trades/", strategies.strategy_held, name="strategy_trades"),
    path("strategies/<int:pk>/switch/", strategies.strategy_switch, name="strategy_switch"),
    path("strategies/<int:pk>/run/", strategies.strategy_run, name="strategy_run"),
    path("strategies/<int:pk>/resume/", strategies.strategy_resumed, name="strategy_resume"),
    path("panels/strategies/", strategies.strategies_now, name="strategies_now"),
    path("portfolio/", portfolio.portfolio_page, name="portfolio"),
    path("panels/portfolio/", portfolio.portfolio_now, name="portfolio_now"),
    path("performance/", performance.performance_view, name="performance"),
]
