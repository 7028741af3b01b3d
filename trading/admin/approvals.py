"""Approvals, the votes on them and the work they become; a person decides on the approval's own page."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from autotrader.core.admin_kit import link
from autotrader.core.errors import AutoTraderError
from autotrader.core.formats import badge, instant, money, number, price
from trading.admin.glances import glance_within
from trading.admin.kit_confirm import Answer, Line, Question, WithReason, carry_out, chosen, confirmed
from trading.admin.kit_finders import by_dispatch, by_field, by_number, by_order_ref, by_symbol
from trading.admin.kit_lists import BigHistoryAdmin, LedgerFilter, NewestDateFilter, NewestFilter
from trading.models import Approval, ApprovalVote, Dispatch
from trading.selectors.approvals import approval_story
from trading.services.approvals import PERMISSION, Word
from trading.workflow.approving import decide

VIEW = "trading.view_approval"
LONGEST_REASON = 500
DIGEST = re.compile(r"\A[0-9a-f]{64}\Z")
APPROVE = Question(
    action="approve_chosen",
    title="Approve these orders?",
    button="Approve them",
    warning="Your yes is for exactly these orders. Each leaves as soon as nobody else must be asked.",
)
REJECT = Question(
    action="reject_chosen", title="Reject these orders?", button="Reject them", danger=True, form=WithReason
)


class WordForm(forms.Form):
    """A yes or a no to the order that was shown, by its digest."""

    said = forms.ChoiceField(choices=[("approve", "approve"), ("reject", "reject")])
    digest = forms.RegexField(DIGEST)
    reason = forms.CharField(required=False, max_length=LONGEST_REASON, strip=True)

    @property
    def problem(self) -> str:
        """What to do where it is not valid."""
        if "reason" in self.errors:
            return f"Say why in at most {LONGEST_REASON} characters."
        return "This page is out of date. Look at the order again, and decide once more."


@admin.register(Approval)
class ApprovalAdmin(BigHistoryAdmin):
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
    list_filter = (("requested_at", NewestDateFilter), "state", ("account", LedgerFilter))
    search_help_text = "Symbol, order ref, group or number"
    finders = (by_number(), by_symbol(), by_order_ref("order"))
    list_select_related = ("instrument", "account")
    actions = ("approve_chosen", "reject_chosen", "export_chosen")

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
            "now": glance_within(story.approval) if story is not None and story.is_open else None,
            "may_decide": request.user.has_perm(PERMISSION),
        }
        return super().change_view(request, object_id, form_url, context)

    def word_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """First show once more what is about to be said; with `confirmed` say it."""
        for needed in (VIEW, PERMISSION):
            if not request.user.has_perm(needed):
                raise PermissionDenied(f"This needs the permission {needed}.")
        back = reverse("admin:trading_approval_change", args=[pk])
        form = WordForm(request.POST)
        if not form.is_valid():
            messages.error(request, form.problem)
            return HttpResponseRedirect(back)
        approve = form.cleaned_data["said"] == "approve"
        digest, reason = form.cleaned_data["digest"], form.cleaned_data["reason"]
        story = approval_story(pk)
        if story is not None and not request.POST.get("confirmed"):
            context = {
                **self.admin_site.each_context(request),
                "title": "Approve this order?" if approve else "Reject this order?",
                "story": story,
                "now": glance_within(story.approval),
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

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """May this person approve and reject?"""
        return request.user.has_perm(PERMISSION)

    @admin.action(description="Approve…", permissions=["decide"])
    def approve_chosen(self, request: HttpRequest, approvals: QuerySet[Approval]) -> HttpResponse | None:
        """Show each exact order once more, then say yes to each."""
        return self._say(request, APPROVE, approvals)

    @admin.action(description="Reject…", permissions=["decide"])
    def reject_chosen(self, request: HttpRequest, approvals: QuerySet[Approval]) -> HttpResponse | None:
        """Show each exact order once more and ask for the reason, then say no to each."""
        return self._say(request, REJECT, approvals)

    def _say(self, request: HttpRequest, question: Question, approvals: QuerySet[Approval]) -> HttpResponse | None:
        rows = chosen(request, approvals.select_related("instrument"))
        if not rows:
            return None
        said = confirmed(self, request, question, [_line(row) for row in rows])
        if isinstance(said, HttpResponse):
            return said

        def do(row: Approval) -> Answer:
            digest, reason = request.POST.get(f"digest-{row.pk}", ""), said.get("reason", "")
            if DIGEST.fullmatch(digest) is None:
                return messages.ERROR, f"Approval {row.pk}: the page is out of date; choose it again."
            word = Word(request.user, approve=question is APPROVE, digest=digest, reason=reason)  # type: ignore[arg-type]
            return messages.SUCCESS, f"Your word is kept: approval {row.pk} is {decide(row.pk, word).state}."

        carry_out(request, rows, do)
        return None

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


def _leg(leg: dict[str, Any]) -> str:
    told = (leg["side"], leg["quantity"], leg.get("order_type"), leg.get("limit_price") or leg.get("stop_price"))
    return " ".join(str(word) for word in told if word)


def _line(approval: Approval) -> Line:
    """The exact order that is asked about, with its digest."""
    legs = "; ".join(_leg(leg) for leg in approval.terms["legs"])
    text = f"{approval.pk}: {approval.instrument.symbol}, {legs}"
    note = f"{approval.state}, {money(approval.value)}, {approval.account_id}, asked by {approval.requested_by}"
    return Line(approval, text, note, {f"digest-{approval.pk}": approval.digest})


@admin.register(ApprovalVote)
class ApprovalVoteAdmin(BigHistoryAdmin):
    """Who said what, when."""

    list_display = ("approval_link", "user", "word", "reason", "when", "at")
    list_filter = (("approve", NewestFilter),)
    search_help_text = "Symbol, username, or number of the approval"
    finders = (by_field("user__username"), by_symbol("approval__instrument"), by_number("approval"))
    list_select_related = ("approval__instrument", "user")
    ordering = ("-id",)
    exported = ("id", "approval_id", "user__username", "approve", "digest", "reason", "at", "market_at")

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
class DispatchAdmin(BigHistoryAdmin):
    """Orders on their way to the broker."""

    list_display = ("id", "status", "of_approval", "of_request", "outcome", "reason", "epoch", "worker", "created_at")
    list_filter = (("state", NewestFilter), ("outcome", NewestFilter))
    search_help_text = "Symbol, order ref, group, correlation id or number"
    finders = (by_number(), by_dispatch)
    list_select_related = ("approval__instrument", "request")

    @admin.display(description="State", ordering="state")
    def status(self, dispatch: Dispatch) -> SafeString:
        return badge(dispatch.state)

    @admin.display(description="Approval", ordering="approval")
    def of_approval(self, dispatch: Dispatch) -> SafeString:
        return link(dispatch.approval)

    @admin.display(description="Request", ordering="request")
    def of_request(self, dispatch: Dispatch) -> SafeString:
        return link(dispatch.request)
