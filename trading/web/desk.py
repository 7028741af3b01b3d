"""The desk: what the account holds and does at this moment, what runs, and what waits for a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from autotrader.core.clock import system_now
from broker.gates import HaltState, halt_reading
from trading.selectors.pages import desk as reads
from trading.services.halts import may_halt, may_release
from trading.web import kit
from trading.web.lines import lines_recent
from trading.web.numbers import NUMBERS, Told

SEES_ACCOUNT = "trading.view_account"
SEES_ORDERS = "trading.view_order"
CANCELS = "trading.request_order"
# The broker may take longer than a person likes to wait for a page: what it has not told by then comes by itself.
SOON_S = 0.1
ON_ITS_WAY = Told(is_asked=True)
Ask = Callable[[], Told]
Context = dict[str, Any]


# The panels: each a part of the page that asks for itself anew


def account(request: HttpRequest, ask: Ask) -> Context:
    """The account's values by the broker's word."""
    told = ask()
    return {"told": told, "tiles": _tiles(told), "account_stamps": told.account_stamps}


def halt(request: HttpRequest, ask: Ask) -> Context:
    """The kill switch, and where it is pressed or released."""
    reading = halt_reading()
    return {
        "halt": reading,
        "simulated": not settings.ORDERS_ENABLED,
        "may_halt": may_halt(request.user),
        "may_release": not may_release(request.user) and reading.state is not HaltState.ACTIVE,
    }


def gateway(request: HttpRequest, ask: Ask) -> Context:
    """The connection to the broker."""
    told = ask()
    return {"told": told, "status": told.status}


def positions(request: HttpRequest, ask: Ask) -> Context:
    """What the account holds by the broker's word, with the strategies that hold it by our records."""
    told = ask()
    table = None
    if told.is_live and told.status is not None:
        table = reads.position_table(told.status.account, told.positions, told.pnl)
    return {"told": told, "table": table, "position_stamps": told.position_stamps}


def orders(request: HttpRequest, ask: Ask) -> Context:
    """What works at the broker, ours or not; where it does not answer, how many orders our records had there."""
    told = ask()
    may_cancel = request.user.has_perm(CANCELS)
    context: Context = {"told": told, "order_stamps": told.order_stamps, "may_cancel": may_cancel}
    if told.is_live and told.status is not None:
        return context | {"orders": reads.order_lines(told.status.account, told.orders)}
    return context | {"at_broker": reads.orders_at_broker()}


def cycles(request: HttpRequest, ask: Ask) -> Context:
    """Cycles that run, and the last that ended."""
    return {"cycles": reads.cycle_lines()}


def approvals(request: HttpRequest, ask: Ask) -> Context:
    """Orders that wait for a person, with the time that is left by the market's clock."""
    told = ask()
    status = told.status
    waiting = reads.approvals_waiting(status.market_now if status else None)
    # Only a clock that runs as this machine's does can be counted down on a page.
    now = system_now() if status is not None and status.clock == "system" else None
    ends = [now + timedelta(seconds=line.seconds_left or 0) if now else None for line in waiting.lines]
    return {"told": told, "waiting": waiting, "waiting_lines": list(zip(waiting.lines, ends, strict=True))}


def discrepancies(request: HttpRequest, ask: Ask) -> Context:
    """Differences between the broker and us."""
    return {"differences": reads.differences()}


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the page: who sees it, what it shows, and which events (`words`) or seconds (`every`) renew it.

    One that `asks` shows what the broker says, and asks once more by itself where that was on its way.
    """

    read: Callable[[HttpRequest, Ask], Context]
    permissions: tuple[str, ...]
    words: str
    every: int = 0
    asks: bool = False

    @property
    def name(self) -> str:
        """Of its template, its URL and its place on the page."""
        return self.read.__name__

    @property
    def template(self) -> str:
        return f"web/desk/_{self.name}.html"

    @property
    def url(self) -> str:
        return reverse(f"desk_{self.name}")


PANELS = (
    Panel(halt, (), "halt"),
    Panel(account, (SEES_ACCOUNT,), "account gateway", 2, asks=True),
    Panel(gateway, (SEES_ACCOUNT,), "gateway", 5, asks=True),
    Panel(positions, (SEES_ACCOUNT,), "positions gateway trades", 2, asks=True),
    Panel(orders, (SEES_ORDERS,), "orders gateway", 5, asks=True),
    Panel(cycles, ("trading.view_cycle",), "cycles executions"),
    Panel(approvals, ("trading.view_approval", "trading.approve_order"), "approvals", 5, asks=True),
    Panel(discrepancies, ("trading.view_discrepancy",), "discrepancies"),
)
SHOWN_LINES = 30
PERMISSIONS = tuple(dict.fromkeys(name for panel in PANELS for name in panel.permissions))


@require_safe
@kit.shown_to(*PERMISSIONS)
def desk_page(request: HttpRequest) -> HttpResponse:
    """The page with every panel that the person may see; the broker is asked once for them all."""
    after = kit.head()
    shown = [panel for panel in PANELS if kit.may(request, *panel.permissions)]
    told = NUMBERS.soon(SOON_S) or ON_ITS_WAY
    context: Context = {"panels": {panel.name: panel for panel in shown}}
    for panel in shown:
        context |= panel.read(request, lambda: told)
    if kit.may(request, kit.FEED):
        context["lines"] = lines_recent(SHOWN_LINES)
    return kit.page(request, "web/desk/desk.html", context, after=after)


def panel_view(panel: Panel) -> kit.View:
    """The view that answers with the inner part of one panel."""

    @require_safe
    @kit.shown_to(*panel.permissions)
    def view(request: HttpRequest) -> HttpResponse:
        return kit.panel(request, panel.template, panel.read(request, NUMBERS.get))

    return view


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the account; `value` None where the broker has not told it."""

    title: str
    value: Decimal | None
    is_gain: bool = False


def _tiles(told: Told) -> list[list[Tile]]:
    """What it is worth and how it goes, then what it can use; nothing where the broker does not answer."""
    summary, pnl = told.account, told.pnl
    if not told.is_live or summary is None:
        return []
    opened = pnl.unrealized if pnl and pnl.unrealized is not None else summary.unrealized_pnl
    worth = [
        Tile("Net liquidation", summary.net_liquidation),
        Tile("Day's P&L", pnl.daily if pnl else None, is_gain=True),
        Tile("Open P&L", opened, is_gain=True),
        Tile("Realised today", pnl.realized if pnl else None, is_gain=True),
    ]
    means = [
        Tile("Cash", summary.cash),
        Tile("Buying power", summary.buying_power),
        Tile("Gross exposure", summary.gross_position_value),
    ]
    return [worth, means]
