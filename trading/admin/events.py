"""The audit log's list as a console has it: never counted, read by key, found by symbol, order and correlation id."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from autotrader.core.audit.admin import EventAdmin
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from trading.admin.kit_finders import by_field, by_number
from trading.admin.kit_lists import BigHistoryAdmin, DateFilter
from trading.models import Account, Decision, Instrument, Order, WorkflowExecution
from trading.models.account import AccountKind

SHOWN_REPLAYS = 20
LATEST = 200


class TypeFilter(admin.SimpleListFilter):
    """By the event's name; the names there are, so that no row is read to list them."""

    title = "type"
    parameter_name = "type__exact"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(name.value, name.value) for name in sorted(EventType)]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset.filter(type=self.value()) if self.value() else queryset


class AccountFilter(admin.SimpleListFilter):
    """By account, from the table of accounts; of the replays only the newest."""

    title = "account"
    parameter_name = "account__exact"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        own = Account.objects.exclude(kind=AccountKind.REPLAY).order_by("pk")[:200]
        replays = Account.objects.filter(kind=AccountKind.REPLAY).order_by("-created_at")[:SHOWN_REPLAYS]
        return [(row.pk, row.pk) for row in [*own, *replays]]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset.filter(account=self.value()) if self.value() else queryset


def by_order(word: str) -> Q | None:
    """The events of the order, or of the group's orders, with this reference."""
    refs = Order.objects.filter(Q(order_ref=word) | Q(group=word)).order_by().values_list("order_ref", flat=True)
    subjects = [f"order:{ref}" for ref in refs[:20]]
    return Q(subject__in=subjects) if subjects else None


def by_symbol(word: str) -> Q | None:
    """The events of the latest executions, decisions and orders in the instruments with this symbol."""
    instruments = list(Instrument.objects.filter(symbol=word.upper()).values_list("pk", flat=True)[:LATEST])
    if not instruments:
        return None
    subjects = []
    named = (("execution", WorkflowExecution, "pk"), ("decision", Decision, "pk"), ("order", Order, "order_ref"))
    for name, model, column in named:
        latest = model._default_manager.filter(instrument__in=instruments).order_by("-pk")
        subjects += [f"{name}:{value}" for value in latest.values_list(column, flat=True)[:LATEST]]
    return Q(subject__in=subjects)


admin.site.unregister(Event)


@admin.register(Event)
class EventListAdmin(BigHistoryAdmin, EventAdmin):
    """Events, newest first."""

    list_filter: ClassVar[Any] = (("at", DateFilter), TypeFilter, AccountFilter)
    search_help_text = "Symbol, order ref, subject or correlation id"
    ordering = ("-seq",)
    show_full_result_count = False
    actions: Any = ("export_chosen",)
    timed = "at"
    finders = (by_number(), by_field("correlation_id"), by_field("subject"), by_order, by_symbol)
    exported = (
        "seq", "at", "market_at", "type", "account", "actor", "correlation_id", "subject", "subject_version",
        "old_state", "new_state", "cause", "hash",
    )  # fmt: skip
