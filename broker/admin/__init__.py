"""What was sent to the broker and what it said, in the admin: to be read only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.safestring import SafeString

from autotrader.core.admin_filters import NewestDateFilter, NewestFilter
from autotrader.core.admin_kit import HistoryAdmin
from autotrader.core.admin_lists import BigHistoryAdmin, by_field, by_newest, by_number
from autotrader.core.formats import ABSENT, badge, document_box, instant, number, price
from broker.models import BrokerMessage, Contract, Halt, Submission
from broker.service.submissions import prices_of, terms_of


@admin.register(Submission)
class SubmissionAdmin(BigHistoryAdmin):
    """One row a frame that may have left, or never will."""

    list_display = (
        "order_ref", "revision", "role", "symbol", "side", "quantity", "price", "status", "account", "when", "detail",
    )  # fmt: skip
    list_filter = (
        ("created_at", NewestDateFilter),
        ("state", NewestFilter),
        ("role", NewestFilter),
        ("account", NewestFilter),
    )
    search_help_text = "Order ref or number; of the newest also the hash of the intent"
    finders = (by_field("order_ref"), by_number(), by_newest(Submission, "intent_hash"))
    ordering = ("-id",)
    exclude = ("terms",)
    readonly_fields = ("formatted_terms",)

    @admin.display(description="State", ordering="state")
    def status(self, submission: Submission) -> SafeString:
        return badge(submission.state)

    @admin.display(description="At", ordering="created_at")
    def when(self, submission: Submission) -> SafeString:
        return instant(submission.created_at)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list with the symbols of its rows, which name their contracts by number."""
        changes = super().get_changelist_instance(request)
        rows: list[Any] = list(changes.result_list)
        con_ids = [terms_of(row).get("con_id", 0) for row in rows]
        symbols = _symbols(set(con_ids))
        for row, con_id in zip(rows, con_ids, strict=True):
            row.symbol = symbols.get(con_id, ABSENT)
        changes.result_list = rows
        return changes

    @admin.display(description="Symbol")
    def symbol(self, submission: Submission) -> str:
        return getattr(submission, "symbol", ABSENT)

    @admin.display(description="Side")
    def side(self, submission: Submission) -> str:
        return str(terms_of(submission).get("side", ABSENT))

    @admin.display(description="Quantity")
    def quantity(self, submission: Submission) -> str:
        return number(terms_of(submission).get("quantity"))

    @admin.display(description="Price")
    def price(self, submission: Submission) -> str:
        prices = prices_of(submission)
        told = [price(prices["limit_price"])] if prices["limit_price"] is not None else []
        told += [f"stop {price(prices['stop_price'])}"] if prices["stop_price"] is not None else []
        return ", ".join(told) or ABSENT

    @admin.display(description="Terms")
    def formatted_terms(self, submission: Submission) -> SafeString:
        return document_box(submission.terms)


def _symbols(con_ids: set[int]) -> dict[int, str]:
    """The symbol of each contract; none where two kinds of gateway give one number to two."""
    found: dict[int, set[str]] = {}
    for con_id, symbol in Contract.objects.filter(con_id__in=con_ids).values_list("con_id", "symbol"):
        found.setdefault(con_id, set()).add(symbol)
    return {con_id: symbols.pop() for con_id, symbols in found.items() if len(symbols) == 1}


@admin.register(BrokerMessage)
class BrokerMessageAdmin(BigHistoryAdmin):
    """What the broker said, as it came; the ones that could not be applied stay in the state ERROR."""

    list_display = ("id", "when", "kind", "status", "order_ref", "perm_id", "exec_id", "error")
    list_filter = ("state", ("kind", NewestFilter), ("received_at", NewestDateFilter))
    search_help_text = "Order ref or number; of the newest also perm id and exec id"
    finders = (
        by_field("order_ref"),
        by_number(),
        by_newest(BrokerMessage, "perm_id"),
        by_newest(BrokerMessage, "exec_id"),
    )
    ordering = ("-id",)
    exclude = ("payload",)
    readonly_fields = ("formatted_payload",)

    @admin.display(description="Received", ordering="id")
    def when(self, message: BrokerMessage) -> SafeString:
        return instant(message.received_at)

    @admin.display(description="State", ordering="state")
    def status(self, message: BrokerMessage) -> SafeString:
        return badge(message.state)

    @admin.display(description="Payload")
    def formatted_payload(self, message: BrokerMessage) -> SafeString:
        return document_box(message.payload)


@admin.register(Contract)
class ContractAdmin(HistoryAdmin):
    """Contracts as the broker described them."""

    list_display = ("symbol", "con_id", "sec_type", "exchange", "currency", "source", "fetched_at")
    list_filter = ("source", "sec_type", "currency")
    search_fields = ("symbol", "=con_id")
    ordering = ("symbol",)
    exclude = ("document",)
    readonly_fields = ("formatted_document",)

    @admin.display(description="Document")
    def formatted_document(self, contract: Contract) -> SafeString:
        return document_box(contract.document)


@admin.register(Halt)
class HaltAdmin(HistoryAdmin):
    """The kill switch's row; it is set on its own page, with a reason."""

    list_display = ("state", "reason", "actor", "at", "version")
