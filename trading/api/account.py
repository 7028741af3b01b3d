"""The account over REST: its values and holdings, live, and its profit and loss, live of today and from history before.

Each answer names its source; a number that is not known is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.clock import system_now
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint
from broker import types
from trading.api.accounts import account_for, refuse_strategy_limited
from trading.api.live import READ_ERRORS, LiveAccount, account_of, connected, plain
from trading.api.market import IN_CAPITALS, SYMBOL
from trading.selectors.accounts import UnknownAccount
from trading.selectors.pnl import AccountResult, Timeframe, pnl_past
from trading.selectors.pnl_today import pnl_today

PERMISSION = "trading.view_account"


@dataclass(frozen=True, slots=True)
class LivePositions:
    """What the connected account holds, told at `time` by the market's clock."""

    account: str
    time: datetime
    source: Literal["live"]
    positions: tuple[types.Position, ...]


class PnlParameters(Body):
    """Which time, and of which contract."""

    timeframe = serializers.ChoiceField(get_args(Timeframe), default="day", help_text="The calendar's, up to now.")
    symbol = serializers.RegexField(SYMBOL, required=False, error_messages=IN_CAPITALS, help_text="Only this one.")
    account = serializers.CharField(
        required=False, max_length=40, help_text="Of history; the broker's own where it is left out."
    )


class SummaryEndpoint(Endpoint):
    """GET: the values of the connected account as the broker says them now."""

    permissions = {"GET": PERMISSION}
    answers = {"GET": LiveAccount}
    errors = READ_ERRORS

    def get(self, request: Request) -> Response:
        with connected(request) as live:
            return Response(plain(account_of(live)))


class PositionsEndpoint(Endpoint):
    """GET: what the connected account holds, with whose it is, when it was told and by whom."""

    permissions = {"GET": PERMISSION}
    answers = {"GET": LivePositions}
    errors = READ_ERRORS

    def get(self, request: Request) -> Response:
        with connected(request) as live:
            held = live.broker.positions()
            return Response(plain(LivePositions(live.account, live.status.market_now, "live", held)))


class PnlEndpoint(Endpoint):
    """GET: profit and loss; of the day live from the broker, of a longer time from our own rows."""

    permissions = {"GET": PERMISSION}
    query = PnlParameters
    answers = {"GET": AccountResult}
    errors = (*READ_ERRORS, UnknownAccount)

    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        timeframe, symbol, name = asked["timeframe"], asked.get("symbol"), asked.get("account")
        if timeframe != "day":
            refuse_strategy_limited(request)
            return Response(plain(pnl_past(account_for(request, name), timeframe, symbol, system_now())))
        with connected(request) as live:
            if name not in (None, live.account):
                raise UnknownAccount(f"The day is told live, of {live.account} only; ask for a longer time.")
            return Response(plain(pnl_today(live.broker, live.status, symbol)))
