"""The audit log in the admin: to be read, never to be changed."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import HistoryAdmin
from autotrader.core.audit.models import AuditHead, Event
from autotrader.core.formats import badge, document_box, instant


@admin.register(Event)
class EventAdmin(HistoryAdmin):
    """Events, newest first; the document is shown as it was hashed."""

    list_display = ("seq", "when", "type", "subject", "change", "account", "actor", "cause")
    list_filter = ("type", "account", "quarantined")
    search_fields = ("=correlation_id", "subject", "=account", "cause")
    ordering = ("-seq",)
    show_full_result_count = False
    exclude = ("document",)
    readonly_fields = ("formatted_document",)

    @admin.display(description="At", ordering="seq")
    def when(self, event: Event) -> SafeString:
        return instant(event.at)

    @admin.display(description="State")
    def change(self, event: Event) -> SafeString:
        return badge(event.new_state)

    @admin.display(description="Document")
    def formatted_document(self, event: Event) -> SafeString:
        return document_box(event.document)


@admin.register(AuditHead)
class AuditHeadAdmin(HistoryAdmin):
    """The end of the chain."""

    list_display = ("seq", "hash")
