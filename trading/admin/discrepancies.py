"""Differences between the broker and us: what differs, since when, and a person's remedy by POST, with a reason."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import link
from autotrader.core.errors import AutoTraderError
from autotrader.core.formats import badge, instant, money
from trading.admin.kit_finders import by_newest, by_number, by_order_ref, by_symbol
from trading.admin.kit_lists import BigHistoryAdmin, LedgerFilter
from trading.admin.reconcile_actions import Comparing
from trading.models import Discrepancy, Reconciliation, Strategy
from trading.selectors.discrepancies import discrepancy_story
from trading.services import resolutions
from trading.services.discrepancies import PERMISSION, SHORTEST_REASON

WORDS = {
    resolutions.LEAVE: "Leave it as it is: it is explained",
    resolutions.ADJUST: "Accept the broker's position: book what is missing as an adjustment",
    resolutions.ACCEPT: "Accept the broker's cash",
    resolutions.ENDED: "I have looked: the broker does not have this order. End it",
    resolutions.ASIDE: "Set these messages aside: they are never applied",
}
VIEW = "trading.view_discrepancy"
INPUT = {"class": "desk-input", "autocomplete": "off"}


class ResolveForm(forms.Form):
    """A remedy, and why; an adjustment also needs its price and whose position it was."""

    remedy = forms.ChoiceField(label="What to do", widget=forms.RadioSelect(attrs={"class": "desk-radio"}))
    price = forms.DecimalField(
        required=False,
        max_digits=15,
        decimal_places=6,
        help_text="Of an adjustment: at which price it was bought or sold.",
        widget=forms.TextInput(attrs=INPUT),
    )
    strategy = forms.ModelChoiceField(
        label="Whose position",
        required=False,
        queryset=Strategy.objects.none(),
        empty_label="outside the desk",
        help_text="Of an adjustment: the strategy whose position it changes.",
        widget=forms.Select(attrs=INPUT),
    )
    reason = forms.CharField(
        min_length=SHORTEST_REASON,
        max_length=500,
        strip=True,
        help_text="Kept in the audit log with your name.",
        widget=forms.TextInput(attrs=INPUT),
    )
    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, discrepancy: Discrepancy, data: Any = None) -> None:
        names = resolutions.remedies(discrepancy)
        super().__init__(data, initial={"remedy": names[0], "version": discrepancy.version})
        cast("forms.ChoiceField", self.fields["remedy"]).choices = [(name, WORDS[name]) for name in names]
        if resolutions.ADJUST not in names:
            del self.fields["price"], self.fields["strategy"]
        else:
            whose = cast("forms.ModelChoiceField[Strategy]", self.fields["strategy"])
            whose.queryset = resolutions.holders(discrepancy)

    def remedy_chosen(self) -> resolutions.Remedy:
        """What the valid form says."""
        said = self.cleaned_data
        return resolutions.Remedy(said["remedy"], said["reason"], said.get("price"), said.get("strategy"))


@admin.register(Discrepancy)
class DiscrepancyAdmin(Comparing, BigHistoryAdmin):
    """What differs, since when, and who resolved it."""

    list_display = (
        "what",
        "about",
        "status",
        "blocks",
        "ours",
        "theirs",
        "instrument",
        "order_link",
        "account",
        "since",
        "seen",
        "resolved_by",
    )
    list_filter = ("state", "kind", "blocking", ("account", LedgerFilter))
    search_help_text = "Symbol, order ref, group, subject or number"
    finders = (by_number(), by_symbol(), by_order_ref("order"), by_newest(Discrepancy, "subject"))
    list_select_related = ("instrument", "order", "account")
    actions = ("compare_now", "export_chosen")
    ordering = ("-id",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.resolve_view)
        return [path("<int:pk>/resolve/", view, name="trading_discrepancy_resolve"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        story = discrepancy_story(int(object_id)) if object_id.isdecimal() else None
        may = story is not None and story.row.state == "OPEN" and request.user.has_perm(PERMISSION)
        form = ResolveForm(story.row) if story is not None and may else None
        context = {**(extra_context or {}), "story": story, "form": form, "permission": PERMISSION}
        return super().change_view(request, object_id, form_url, context)

    def resolve_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Resolve by POST; with errors, the form again."""
        for needed in (VIEW, PERMISSION):
            if not request.user.has_perm(needed):
                raise PermissionDenied(f"This needs the permission {needed}.")
        story = discrepancy_story(pk)
        if story is None:
            raise Http404
        back = reverse("admin:trading_discrepancy_change", args=[pk])
        form = ResolveForm(story.row, request.POST)
        if request.method != "POST" or story.row.state != "OPEN":
            return HttpResponseRedirect(back)
        if not form.is_valid():
            context = {**self.admin_site.each_context(request), "title": str(story.row), "story": story, "form": form}
            return TemplateResponse(request, "admin/trading/discrepancy/resolve.html", context)
        story.row.version = form.cleaned_data["version"]
        try:
            resolutions.resolve(story.row, form.remedy_chosen(), actor=request.user.get_username())
        except AutoTraderError as error:
            messages.error(request, f"{error.reason}: {error.message}")
        else:
            messages.success(request, "Resolved; your reason is on record.")
        return HttpResponseRedirect(back)

    @admin.display(description="What", ordering="kind")
    def what(self, row: Discrepancy) -> str:
        return row.get_kind_display()

    @admin.display(description="About", ordering="subject")
    def about(self, row: Discrepancy) -> str:
        return row.subject

    @admin.display(description="State", ordering="state")
    def status(self, row: Discrepancy) -> SafeString:
        return badge(row.state)

    @admin.display(description="Blocks", ordering="blocking", boolean=True)
    def blocks(self, row: Discrepancy) -> bool:
        return row.blocking

    @admin.display(description="Order", ordering="order__order_ref")
    def order_link(self, row: Discrepancy) -> SafeString:
        return link(row.order)

    @admin.display(description="Since", ordering="first_seen_at")
    def since(self, row: Discrepancy) -> SafeString:
        return instant(row.first_seen_at)

    @admin.display(description="Last seen", ordering="last_seen_at")
    def seen(self, row: Discrepancy) -> SafeString:
        return instant(row.last_seen_at)


@admin.register(Reconciliation)
class ReconciliationAdmin(Comparing):
    """What the last look at the broker's book compared."""

    list_display = ("account", "when", "orders", "executions", "positions", "broker_cash", "our_cash", "cash_note")
    list_select_related = ("account",)
    search_fields = ("=account__id",)

    @admin.display(description="Looked at", ordering="at")
    def when(self, row: Reconciliation) -> SafeString:
        return instant(row.at)

    @admin.display(description="Broker's cash", ordering="cash")
    def broker_cash(self, row: Reconciliation) -> str:
        return money(row.cash)

    @admin.display(description="Cash by our fills", ordering="expected_cash")
    def our_cash(self, row: Reconciliation) -> str:
        return money(row.expected_cash)
