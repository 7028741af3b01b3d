"""Paid calls to a model and the money committed to them, in the admin: to be read only."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from autotrader.core.admin_filters import NewestDateFilter, NewestFilter
from autotrader.core.admin_lists import BigHistoryAdmin, by_field, by_newest, by_number
from autotrader.core.formats import badge, document_box, duration, instant, number
from research.models import ModelBudget, ModelCall


@admin.register(ModelCall)
class ModelCallAdmin(BigHistoryAdmin):
    """Questions and answers, with what they cost."""

    list_display = ("id", "when", "purpose", "model", "status", "prompt", "tokens", "price_paid", "took", "error")
    list_filter = (
        ("created_at", NewestDateFilter),
        ("state", NewestFilter),
        ("purpose", NewestFilter),
        ("model", NewestFilter),
        ("prompt_name", NewestFilter),
    )
    search_help_text = "Correlation id or number; of the newest also the cycle"
    finders = (by_field("correlation_id"), by_number(), by_newest(ModelCall, "cycle"))
    exclude = ("request",)
    readonly_fields = ("formatted_request",)

    @admin.display(description="At", ordering="created_at")
    def when(self, call: ModelCall) -> SafeString:
        return instant(call.created_at)

    @admin.display(description="State", ordering="state")
    def status(self, call: ModelCall) -> SafeString:
        return badge(call.state)

    @admin.display(description="Prompt", ordering="prompt_name")
    def prompt(self, call: ModelCall) -> str:
        return f"{call.prompt_name} {call.prompt_version}"

    @admin.display(description="Tokens in / out", ordering="tokens_in")
    def tokens(self, call: ModelCall) -> str:
        return f"{number(call.tokens_in)} / {number(call.tokens_out)}"

    @admin.display(description="Cost, USD", ordering="cost")
    def price_paid(self, call: ModelCall) -> str:
        return number(call.cost, 4)

    @admin.display(description="Took", ordering="latency_ms")
    def took(self, call: ModelCall) -> str:
        return duration(call.latency_ms)

    @admin.display(description="Request")
    def formatted_request(self, call: ModelCall) -> SafeString:
        return document_box(call.request)


@admin.register(ModelBudget)
class ModelBudgetAdmin(BigHistoryAdmin):
    """What was spent and reserved in each scope."""

    list_display = ("scope", "committed")
    search_help_text = "Scope, such as day:2019-06-03"
    finders = (by_field("scope"),)
