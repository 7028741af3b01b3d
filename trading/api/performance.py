"""Performance over REST: equity, returns, drawdown, trades and fees, from history alone."""

from __future__ import annotations

from datetime import date
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Invalid
from autotrader.core.rest.limits import KeyLimited, limits_of
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint
from trading.api.accounts import account_for
from trading.api.live import plain
from trading.models import Strategy
from trading.selectors.accounts import UnknownAccount
from trading.selectors.performance import Performance, Question, performance

EARLIEST, LATEST = date(1970, 1, 1), date(2200, 1, 1)


class UnknownStrategy(Invalid):
    """No strategy has this name: leave it out, or name one of those under `strategies`."""

    code = "UNKNOWN_STRATEGY"


def _day(help_text: str) -> serializers.DateField:
    return serializers.DateField(required=False, validators=[_is_sound], help_text=help_text)


def _is_sound(day: date) -> None:
    if not EARLIEST <= day <= LATEST:
        raise serializers.ValidationError(f"Give a day from {EARLIEST} to {LATEST}.")


class PerformanceParameters(Body):
    """Which days of the exchange (both included), whose account, and of which strategy alone."""

    to = _day("The last day; up to the newest row where it is left out.")
    account = serializers.CharField(
        required=False, max_length=40, help_text="The broker's own where it is left out; `SHADOW:3` is strategy 3's."
    )
    strategy = serializers.CharField(required=False, max_length=80, help_text="By its name: only its trades.")

    def get_fields(self) -> dict[str, Any]:
        """`from` is no name that a class can give."""
        return {"from": _day("The first day; since the beginning without it."), **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The days in their order."""
        if "from" in attrs and "to" in attrs and attrs["from"] > attrs["to"]:
            raise serializers.ValidationError({"to": "The last day comes before the first."})
        return attrs


class PerformanceEndpoint(Endpoint):
    """GET: how an account has done, or single strategies in it; docs/performance-figures.md defines every figure.

    A key that is limited to strategies is told their trades, and not the account's equity.
    """

    permissions = {"GET": "trading.view_accountsnapshot"}
    query = PerformanceParameters
    answers = {"GET": Performance}
    errors = (UnknownAccount, UnknownStrategy)
    etag = True

    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        strategies = _strategies(request, asked.get("strategy"))
        account = account_for(request, asked.get("account"))
        question = Question(account, asked.get("from"), asked.get("to"), strategies)
        return Response(plain(performance(question)))


def _strategies(request: Request, name: str | None) -> tuple[tuple[int, str], ...] | None:
    """Those that are asked for, or that the key is limited to; None = the whole account."""
    limits = limits_of(request)
    if name is None:
        found = Strategy.objects.filter(pk__in=sorted(limits.strategies)).order_by("name")
        return tuple(found.values_list("pk", "name")) if limits.strategies else None
    one = Strategy.objects.filter(name=name).values_list("pk", "name").first()
    if not limits.allows_strategy(one[0] if one else None):
        raise KeyLimited("This key is limited to other strategies.")
    if one is None:
        message = "There is no such strategy."
        raise UnknownStrategy(message, details={"field": "strategy", "fields": {"strategy": message}})
    return (one,)
