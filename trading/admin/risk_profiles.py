"""Risk profiles: every limit with what it means, saved through the service, and the history of who changed what."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import DeskAdmin, HistoryAdmin, link
from autotrader.core.formats import badge, instant, number, percent
from trading.admin.versioned import VersionedForm
from trading.models import RiskProfile, RiskProfileVersion
from trading.selectors.limits import changes_of, limits_as_saved, profile_history
from trading.services.strategies import risk_profile_save

FIELDSETS: tuple[tuple[Any, Any], ...] = (
    (None, {"fields": (("name", "is_desk"), "version")}),
    (
        "One order",
        {
            "fields": (("max_order_value", "max_order_quantity"), ("risk_per_trade", "max_position_fraction")),
            "description": "P1 and sizing. Amounts in the account's base currency, fractions of 1: 0.05 is 5 %.",
        },
    ),
    (
        "The decision behind it",
        {
            "fields": (
                ("min_reward_ratio", "min_profit_margin"),
                ("max_price_deviation", "max_decision_age_seconds"),
            ),
            "description": "P17. Recomputed from the market's price, on the market's clock.",
        },
    ),
    (
        "Its price and the quote",
        {
            "fields": (
                ("price_collar", "limit_collar"),
                ("session_collar", "max_spread"),
                "max_quote_age_seconds",
            ),
            "description": "P2 and P3. Without a fresh two-sided quote nothing is sent.",
        },
    ),
    (
        "What may be traded",
        {
            "fields": ("allowed_symbols", "restricted_symbols"),
            "description": "P10. A symbol that several contracts carry allows none of them: name the id then.",
        },
    ),
    (
        "All orders together",
        {
            "fields": (
                ("max_exposure_fraction", "max_open_orders"),
                ("max_orders_per_day", "duplicate_window_seconds"),
            ),
            "description": "P5, P6 and P8. A strategy that sends its last order of a day stays suspended until a "
            "person resumes it.",
        },
    ),
    (
        "Messages",
        {
            "fields": (("messages_per_minute", "message_burst"),),
            "description": "P4. Cancels are never held back.",
        },
    ),
    (
        "Losses",
        {
            "fields": (
                ("max_daily_loss_reducing", "max_daily_loss_halted"),
                ("max_drawdown", "max_stop_outs_per_day"),
                "cool_down_seconds",
            ),
            "description": "P15. Only a person with the permission and a reason loosens what a loss has tightened.",
        },
    ),
    (
        "Approval",
        {
            "fields": (("approval_above_value", "second_approver_above_value"), "approval_minutes"),
            "description": "P16. The stricter of the strategy's profile and the desk's counts.",
        },
    ),
)


@admin.register(RiskProfile)
class RiskProfileAdmin(DeskAdmin):
    """Limits; saving makes a new version, and the page tells what each of them changed."""

    form = VersionedForm
    list_display = (
        "title",
        "version",
        "order_value",
        "position",
        "risk",
        "day_loss",
        "max_orders_per_day",
        "approval",
        "used_by",
    )
    list_display_links = ("title",)
    search_fields = ("name",)
    readonly_fields = ("version",)
    fieldsets = FIELDSETS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return super().get_queryset(request).prefetch_related("strategies")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "history": profile_history(int(object_id)) if object_id.isdecimal() else []}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        risk_profile_save(obj, actor=request.user.get_username())

    @admin.display(description="Name", ordering="name")
    def title(self, profile: RiskProfile) -> SafeString:
        return format_html("{} {}", profile.name, badge("ok", "desk") if profile.is_desk else "")

    @admin.display(description="Largest order", ordering="max_order_value")
    def order_value(self, profile: RiskProfile) -> str:
        return number(profile.max_order_value)

    @admin.display(description="Largest position", ordering="max_position_fraction")
    def position(self, profile: RiskProfile) -> str:
        return percent(profile.max_position_fraction)

    @admin.display(description="Risk per trade", ordering="risk_per_trade")
    def risk(self, profile: RiskProfile) -> str:
        return percent(profile.risk_per_trade)

    @admin.display(description="Loss of a day: reducing / halted", ordering="max_daily_loss_halted")
    def day_loss(self, profile: RiskProfile) -> str:
        return f"{percent(profile.max_daily_loss_reducing)} / {percent(profile.max_daily_loss_halted)}"

    @admin.display(description="Approval from", ordering="approval_above_value")
    def approval(self, profile: RiskProfile) -> str:
        return number(profile.approval_above_value) if profile.approval_above_value is not None else "by mode only"

    @admin.display(description="Strategies")
    def used_by(self, profile: RiskProfile) -> SafeString:
        return format_html_join(", ", "{}", ((link(row),) for row in profile.strategies.all())) or SafeString("none")


@admin.register(RiskProfileVersion)
class RiskProfileVersionAdmin(HistoryAdmin):
    """What the limits were, who changed them and when, newest first."""

    list_display = ("__str__", "profile_link", "saved_at", "actor", "what")
    list_filter = ("profile", "actor")
    search_fields = ("profile__name", "actor")
    list_select_related = ("profile",)
    date_hierarchy = "at"
    ordering = ("-at", "-id")
    fields = ("profile_link", "number", "saved_at", "actor", "changes", "limits")
    readonly_fields = ("profile_link", "saved_at", "changes", "limits")

    @admin.display(description="Profile", ordering="profile__name")
    def profile_link(self, version: RiskProfileVersion) -> SafeString:
        return link(version.profile)

    @admin.display(description="When", ordering="at")
    def saved_at(self, version: RiskProfileVersion) -> SafeString:
        return instant(version.at)

    @admin.display(description="Changed")
    def what(self, version: RiskProfileVersion) -> str:
        changed = changes_of(version)
        if version.number == 1:
            return "created"
        return "; ".join(f"{row.label}: {row.before} → {row.after}" for row in changed) or "saved unchanged"

    @admin.display(description="Changed")
    def changes(self, version: RiskProfileVersion) -> str:
        return render_to_string("admin/trading/riskprofile/_changes.html", {"changes": changes_of(version)})

    @admin.display(description="All limits as saved")
    def limits(self, version: RiskProfileVersion) -> str:
        return render_to_string("admin/trading/riskprofile/_limits.html", {"limits": limits_as_saved(version)})
