"""Approvals, the votes on them and the work they become; a person decides on the approval's own page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from autotrader.core.admin_kit import HistoryAdmin, link
from autotrader.core.errors import AutoTraderError
from autotrader.core.formats import badge, instant, money, number, price
from trading.models import Approval, ApprovalVote, Dispatch
from trading.selectors.approvals import approval_story
from trading.services.approvals import PERMISSION, Word
from trading.workflow.approving import decide, glance


@admin.register(Approval)
class ApprovalAdmin(HistoryAdmin):
    """Orders that wait for a person, and what became of those that did."""

    list_display = (
        "number_link",
        "status",
        "instrument",
        "side",
        "size",
        "amount",
        "asked_at",
        "reward",
        "votes_needed",
        "until",
        "requested_by",
        "account",
    )
    list_filter = ("state", "cause", "account")
    search_fields = ("instrument__symbol", "order__order_ref", "requested_by", "=digest")
    list_select_related = ("instrument", "account")
    date_hierarchy = "requested_at"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.word_view))
        return [path("<int:pk>/word/", view, name="trading_approval_word"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        story = approval_story(int(object_id)) if object_id.isdecimal() else None
        context = {
            **(extra_context or {}),
            "story": story,
            "now": glance(story.approval) if story is not None and story.is_open else None,
            "may_decide": request.user.has_perm(PERMISSION),
        }
        return super().change_view(request, object_id, form_url, context)

    def word_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """First show once more what is about to be said; with `confirmed` say it."""
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied(f"This needs the permission {PERMISSION}.")
        back = reverse("admin:trading_approval_change", args=[pk])
        approve = request.POST.get("said") == "approve"
        digest, reason = request.POST.get("digest", ""), request.POST.get("reason", "").strip()
        story = approval_story(pk)
        if story is not None and not request.POST.get("confirmed"):
            context = {
                **self.admin_site.each_context(request),
                "title": "Approve this order?" if approve else "Reject this order?",
                "story": story,
                "now": glance(story.approval),
                "approve": approve,
                "digest": digest,
                "reason": reason,
                "back": back,
            }
            return TemplateResponse(request, "admin/trading/approval/confirm.html", context)
        try:
            approval = decide(pk, Word(request.user, approve=approve, digest=digest, reason=reason))  # type: ignore[arg-type]
        except AutoTraderError as error:
            messages.error(request, f"{error.reason}: {error.message}")
        else:
            messages.success(request, f"Your word is kept: approval {pk} is {approval.state}.")
        return HttpResponseRedirect(back)

    @admin.display(description="Approval", ordering="id")
    def number_link(self, approval: Approval) -> str:
        return str(approval.pk)

    @admin.display(description="State", ordering="state")
    def status(self, approval: Approval) -> SafeString:
        return badge(approval.state)

    @admin.display(description="Side")
    def side(self, approval: Approval) -> str:
        return str(approval.terms["legs"][0]["side"])

    @admin.display(description="Quantity", ordering="quantity")
    def size(self, approval: Approval) -> str:
        return number(approval.quantity)

    @admin.display(description="Value", ordering="value")
    def amount(self, approval: Approval) -> str:
        return money(approval.value)

    @admin.display(description="Asked at", ordering="price")
    def asked_at(self, approval: Approval) -> str:
        return price(approval.price)

    @admin.display(description="R", ordering="reward_ratio")
    def reward(self, approval: Approval) -> str:
        return number(approval.reward_ratio, 2)

    @admin.display(description="Persons", ordering="needed")
    def votes_needed(self, approval: Approval) -> str:
        return str(approval.needed)

    @admin.display(description="Good until (market)", ordering="expires_at")
    def until(self, approval: Approval) -> SafeString:
        return instant(approval.expires_at)


@admin.register(ApprovalVote)
class ApprovalVoteAdmin(HistoryAdmin):
    """Who said what, when."""

    list_display = ("approval_link", "user", "word", "reason", "when", "at")
    list_filter = ("approve",)
    search_fields = ("user__username", "approval__instrument__symbol")
    list_select_related = ("approval", "user")

    @admin.display(description="Approval", ordering="approval")
    def approval_link(self, vote: ApprovalVote) -> SafeString:
        return link(vote.approval)

    @admin.display(description="Word", ordering="approve")
    def word(self, vote: ApprovalVote) -> str:
        return "yes" if vote.approve else "no"

    @admin.display(description="Market time", ordering="market_at")
    def when(self, vote: ApprovalVote) -> SafeString:
        return instant(vote.market_at)


@admin.register(Dispatch)
class DispatchAdmin(HistoryAdmin):
    """Orders on their way to the broker."""

    list_display = ("id", "status", "of_approval", "of_request", "outcome", "reason", "epoch", "worker", "created_at")
    list_filter = ("state", "outcome")
    search_fields = ("=correlation_id", "worker")
    list_select_related = ("approval", "request")

    @admin.display(description="State", ordering="state")
    def status(self, dispatch: Dispatch) -> SafeString:
        return badge(dispatch.state)

    @admin.display(description="Approval", ordering="approval")
    def of_approval(self, dispatch: Dispatch) -> SafeString:
        return link(dispatch.approval)

    @admin.display(description="Request", ordering="request")
    def of_request(self, dispatch: Dispatch) -> SafeString:
        return link(dispatch.request)
