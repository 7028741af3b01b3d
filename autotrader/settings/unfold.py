"""How the admin looks: its name, colours, style sheet and side bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

# Slate and a restrained blue: green and red stay free for what they mean on a desk.
PRIMARY = {
    "50": "oklch(97% .014 254.604)",
    "100": "oklch(93.2% .032 255.585)",
    "200": "oklch(88.2% .059 254.128)",
    "300": "oklch(80.9% .105 251.813)",
    "400": "oklch(70.7% .165 254.624)",
    "500": "oklch(58% .17 257)",
    "600": "oklch(50% .17 259)",
    "700": "oklch(44% .16 260)",
    "800": "oklch(38% .13 262)",
    "900": "oklch(33% .10 263)",
    "950": "oklch(25% .08 264)",
}


def _may_view(label: str) -> Callable[[HttpRequest], bool]:
    app, model = label.split(".")
    return lambda request: any(request.user.has_perm(f"{app}.{verb}_{model}") for verb in ("view", "change"))


def _item(title: str, icon: str, label: str) -> dict[str, Any]:
    app, model = label.split(".")
    link = reverse_lazy(f"admin:{app}_{model}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": _may_view(label)}


def _group(title: str, *items: dict[str, Any], open_at_first: bool = True) -> dict[str, Any]:
    return {"title": title, "separator": True, "collapsible": not open_at_first, "items": list(items)}


NAVIGATION = [
    {
        "items": [
            {"title": "Overview", "icon": "monitoring", "link": reverse_lazy("admin:index")},
            {
                "title": "Kill switch",
                "icon": "front_hand",
                "link": reverse_lazy("admin:trading_halt"),
                "permission": lambda request: request.user.has_perm("trading.halt_trading"),
            },
        ]
    },
    _group(
        "Desk",
        _item("Strategies", "conversion_path", "trading.strategy"),
        _item("Cycles", "cycle", "trading.cycle"),
        _item("Executions", "play_circle", "trading.workflowexecution"),
        _item("Decisions", "balance", "trading.decision"),
        _item("Approvals", "how_to_reg", "trading.approval"),
        _item("Orders", "receipt_long", "trading.order"),
        _item("Trades", "swap_vert", "trading.trade"),
        _item("Fills", "done_all", "trading.fill"),
        _item("Order requests", "add_shopping_cart", "trading.orderrequest"),
        _item("Differences", "difference", "trading.discrepancy"),
    ),
    _group(
        "Set-up",
        _item("Workflows", "account_tree", "trading.workflow"),
        _item("Workflow versions", "layers", "trading.workflowversion"),
        _item("Instruments", "candlestick_chart", "trading.instrument"),
        _item("Risk profiles", "shield", "trading.riskprofile"),
    ),
    _group(
        "Audit",
        _item("Events", "history", "audit.event"),
        _item("Model calls", "psychology", "research.modelcall"),
        _item("Broker messages", "forum", "broker.brokermessage"),
        _item("Submissions", "outbox", "broker.submission"),
        _item("Artifacts", "inventory_2", "artifacts.artifact"),
    ),
    _group(
        "Records",
        _item("Accounts", "account_balance", "trading.account"),
        _item("Account snapshots", "photo_camera", "trading.accountsnapshot"),
        _item("Analyses", "query_stats", "trading.analysis"),
        _item("Risk verdicts", "gavel", "trading.riskverdict"),
        _item("Steps", "steps", "trading.steprun"),
        _item("Order changes", "edit_note", "trading.orderchange"),
        _item("Approval votes", "how_to_vote", "trading.approvalvote"),
        _item("Dispatches", "send", "trading.dispatch"),
        _item("Reconciliations", "fact_check", "trading.reconciliation"),
        _item("Risk profile versions", "history_edu", "trading.riskprofileversion"),
        _item("Sessions", "schedule", "trading.session"),
        _item("Broker contracts", "contract", "broker.contract"),
        _item("Halt", "front_hand", "broker.halt"),
        _item("Model budgets", "payments", "research.modelbudget"),
        _item("Audit head", "link", "audit.audithead"),
        open_at_first=False,
    ),
    _group(
        "People",
        _item("Users", "person", "users.user"),
        _item("Groups", "group", "auth.group"),
        _item("API keys", "key", "users.apikey"),
        _item("Known addresses", "share_location", "users.knownaddress"),
        open_at_first=False,
    ),
    _group(
        "Queue",
        _item("Schedules", "event_repeat", "django_q.schedule"),
        _item("Waiting tasks", "pending", "django_q.ormq"),
        _item("Finished tasks", "task_alt", "django_q.success"),
        _item("Failed tasks", "error", "django_q.failure"),
        open_at_first=False,
    ),
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "AutoTrader",
    "SITE_HEADER": "AutoTrader",
    "SITE_SUBHEADER": "Trading desk",
    "SITE_SYMBOL": "monitoring",
    "SITE_URL": None,
    "SHOW_BACK_BUTTON": True,
    "SHOW_HISTORY": False,
    "BORDER_RADIUS": "6px",
    "COLORS": {"primary": PRIMARY},
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("autotrader/favicon.svg")}
    ],
    "STYLES": [lambda request: static("autotrader/admin.css")],
    "DASHBOARD_CALLBACK": "trading.admin.dashboard.index_context",
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": NAVIGATION},
}
