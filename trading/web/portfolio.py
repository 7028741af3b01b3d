"""The portfolio: the broker's numbers of this second, and what our records hold beside them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from trading.selectors.accounts import account_last_seen
from trading.selectors.pages.portfolio import portfolio
from trading.web.kit import head, page, panel, shown_to
from trading.web.numbers import NUMBERS, Told

VIEW = "trading.view_account"


@require_safe
@shown_to(VIEW)
def portfolio_page(request: HttpRequest) -> HttpResponseBase:
    """What is held and what it is worth, live where the broker answers, and said where it does not."""
    after = head()
    return page(request, "web/portfolio/page.html", _context(), after=after)


@require_safe
@shown_to(VIEW)
def portfolio_now(request: HttpRequest) -> HttpResponseBase:
    """The same anew."""
    return panel(request, "web/portfolio/_now.html", _context())


def _context() -> dict[str, Any]:
    told = NUMBERS.get()
    account_id = _account_id(told)
    live = told.positions if told.is_live else None
    found = portfolio(account_id, live, told.account) if account_id else None
    return {"told": told, "account_id": account_id, "found": found, "tiles": _tiles(told)}


def _account_id(told: Told) -> str:
    """The connected account's; while the broker is away that which was seen last."""
    if told.status is not None and told.status.account:
        return told.status.account
    known = account_last_seen(frozenset())
    return known.pk if known is not None else ""


def _tiles(told: Told) -> list[tuple[str, Any, bool]]:
    """(what it is, the amount, whether it is a gain or a loss); none while the broker is away."""
    account, pnl = told.account, told.pnl
    if not told.is_live or account is None:
        return []
    return [
        ("Net liquidation", account.net_liquidation, False),
        ("Cash", account.cash, False),
        ("Buying power", account.buying_power, False),
        ("Positions' value", account.gross_position_value, False),
        ("Result today", pnl.daily if pnl else None, True),
        ("Open result", pnl.unrealized if pnl else account.unrealized_pnl, True),
        ("Closed result today", pnl.realized if pnl else account.realized_pnl, True),
        ("Available funds", account.available_funds, False),
        ("Initial margin", account.init_margin, False),
        ("Maintenance margin", account.maint_margin, False),
        ("Excess liquidity", account.excess_liquidity, False),
    ]
