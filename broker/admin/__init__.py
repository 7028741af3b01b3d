"""What was sent to the broker and what it said, in the admin: to be read only."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import HistoryAdmin
from autotrader.core.formats import badge, document, instant
from broker.models import BrokerMessage, Contract, Halt, Submission


@admin.register(Submission)
class SubmissionAdmin(HistoryAdmin):
    """One row a frame that may have left, or never will."""

    list_display = ("order_ref", "revision", "role", "status", "account", "when", "detail")
    list_filter = ("state", "role", "account")
    search_fields = ("order_ref", "intent_hash")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    exclude = ("terms",)
    readonly_fields = ("formatted_terms",)

    @admin.display(description="State", ordering="state")
    def status(self, submission: Submission) -> SafeString:
        return badge(submission.state)

    @admin.display(description="At", ordering="created_at")
    def when(self, submission: Submission) -> SafeString:
        return instant(submission.created_at)

    @admin.display(description="Terms")
    def formatted_terms(self, submission: Submission) -> str:
        return document(submission.terms)


@admin.register(BrokerMessage)
class BrokerMessageAdmin(HistoryAdmin):
    """What the broker said, as it came; the ones that could not be applied stay in the state ERROR."""

    list_display = ("id", "when", "kind", "status", "order_ref", "perm_id", "exec_id", "error")
    list_filter = ("state", "kind")
    search_fields = ("order_ref", "=perm_id", "exec_id")
    ordering = ("-id",)
    show_full_result_count = False
    exclude = ("payload",)
    readonly_fields = ("formatted_payload",)

    @admin.display(description="Received", ordering="id")
    def when(self, message: BrokerMessage) -> SafeString:
        return instant(message.received_at)

    @admin.display(description="State", ordering="state")
    def status(self, message: BrokerMessage) -> SafeString:
        return badge(message.state)

    @admin.display(description="Payload")
    def formatted_payload(self, message: BrokerMessage) -> str:
        return document(message.payload)


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
    def formatted_document(self, contract: Contract) -> str:
        return document(contract.document)


@admin.register(Halt)
class HaltAdmin(HistoryAdmin):
    """The kill switch's row; it is set on its own page, with a reason."""

    list_display = ("state", "reason", "actor", "at", "version")
