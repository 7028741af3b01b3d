"""How an account has done, from our own history: curves, figures with the reasons of the missing ones, and groups."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from autotrader.core.clock import system_now
from trading.models import Account
from trading.selectors.accounts import account_last_seen, account_named
from trading.selectors.pages.orders import account_names, strategy_names
from trading.selectors.pages.performance import performance_page
from trading.web.kit import head, page, shown_to

VIEW = "trading.view_accountsnapshot"
TIMEFRAMES = [("all", "all time"), ("year", "this year"), ("month", "this month"), ("week", "this week")]


class PerformanceForm(forms.Form):
    """Whose figures, and of which time; nothing chosen: the broker's account that was seen last, all of it."""

    account = forms.ChoiceField(required=False)
    timeframe = forms.ChoiceField(required=False, choices=TIMEFRAMES)
    strategy = forms.ChoiceField(required=False)

    def __init__(self, data: Any, chosen: Account | None) -> None:
        super().__init__(data, auto_id="show_%s")
        shown = [chosen.pk] if chosen is not None else []
        self._choose("account", list(dict.fromkeys([*shown, *account_names()])))
        self._choose("strategy", ["", *strategy_names()])
        for field in self.fields.values():
            field.widget.attrs["class"] = "desk-input"

    def clean_timeframe(self) -> str:
        """All of it, where nothing is chosen."""
        return self.cleaned_data["timeframe"] or "all"

    def _choose(self, name: str, known: list[str]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(value, value or "all") for value in known]


@require_safe
@shown_to(VIEW)
def performance_view(request: HttpRequest) -> HttpResponseBase:
    """The figures of one account; what is chosen wrongly is said, and nothing is shown of it."""
    after = head()
    usual = account_last_seen(frozenset())
    form = PerformanceForm(request.GET, usual)
    context: dict[str, Any] = {"form": form, "account": None, "found": None}
    if form.is_valid():
        name = form.cleaned_data["account"]
        account = account_named(name) if name else usual
        context["account"] = account
        if account is not None:
            asked = form.cleaned_data
            context["found"] = performance_page(account, asked["timeframe"], asked["strategy"], system_now())
    return page(request, "web/performance/page.html", context, after=after)
