"""Orders, their changes, fills and trades: history to be read; the halt's pages hang on orders too."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import HistoryAdmin, link
from autotrader.core.formats import badge, gain, instant, number, price
from trading.admin.halt import halt_view, release_view
from trading.admin.order_actions import cancel_view, may_cancel
from trading.models import Fill, Order, OrderChange, Trade
from trading.selectors.stories import order_story


@admin.register(Order)
class OrderAdmin(HistoryAdmin):
    """Orders with the broker's last word beside our state."""

    list_display = (
        "order_ref",
        "instrument",
        "role",
        "side",
        "size",
        "filled",
        "terms",
        "status",
        "broker_status",
        "account",
        "when",
        "decision_link",
    )
    list_filter = ("state", "role", "side", "account", "strategy")
    search_fields = (
        "order_ref",
        "=group",
        "=perm_id",
        "instrument__symbol",
        "=decision__execution__cycle__correlation_id",
    )
    list_select_related = ("instrument", "account", "decision__instrument", "decision__execution")
    date_hierarchy = "created_at"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("halt/", wrap(halt_view), name="trading_halt"),
            path("release/", wrap(release_view), name="trading_release"),
            path("<int:pk>/cancel/", wrap(cancel_view), name="trading_order_cancel"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        order = self.get_object(request, object_id)
        context = {
            **(extra_context or {}),
            "story": order_story(order) if order else None,
            "may_cancel": order is not None and may_cancel(request, order),
        }
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="Quantity", ordering="quantity")
    def size(self, order: Order) -> str:
        return number(order.quantity)

    @admin.display(description="Filled", ordering="filled_quantity")
    def filled(self, order: Order) -> str:
        return f"{number(order.filled_quantity)} @ {price(order.average_price)}" if order.filled_quantity else "–"

    @admin.display(description="Terms")
    def terms(self, order: Order) -> str:
        return f"{order.order_type} {price(order.limit_price or order.stop_price)} {order.tif}"

    @admin.display(description="State", ordering="state")
    def status(self, order: Order) -> SafeString:
        return badge(order.state)

    @admin.display(description="Market time", ordering="market_at")
    def when(self, order: Order) -> SafeString:
        return instant(order.market_at)

    @admin.display(description="Decision")
    def decision_link(self, order: Order) -> SafeString:
        return link(order.decision)


@admin.register(OrderChange)
class OrderChangeAdmin(HistoryAdmin):
    """Changes and cancels of working orders."""

    list_display = (
        "order_ref",
        "kind",
        "revision",
        "limit",
        "stop",
        "size",
        "status",
        "actor",
        "reason",
        "created_at",
    )
    list_filter = ("kind", "state")
    search_fields = ("order__order_ref", "order__instrument__symbol", "=actor")
    list_select_related = ("order",)

    @admin.display(description="Limit", ordering="limit_price")
    def limit(self, change: OrderChange) -> str:
        return price(change.limit_price)

    @admin.display(description="Stop", ordering="stop_price")
    def stop(self, change: OrderChange) -> str:
        return price(change.stop_price)

    @admin.display(description="Quantity", ordering="quantity")
    def size(self, change: OrderChange) -> str:
        return number(change.quantity)

    @admin.display(description="Order", ordering="order__order_ref")
    def order_ref(self, change: OrderChange) -> SafeString:
        return link(change.order)

    @admin.display(description="State", ordering="state")
    def status(self, change: OrderChange) -> SafeString:
        return badge(change.state)


@admin.register(Fill)
class FillAdmin(HistoryAdmin):
    """Executions; a corrected one stays, marked as superseded."""

    list_display = (
        "when",
        "symbol",
        "side",
        "size",
        "at_price",
        "fee",
        "order_ref",
        "account",
        "exec_id",
        "superseded",
    )
    list_filter = ("side", "superseded", "account")
    search_fields = ("exec_id", "order__order_ref", "order__instrument__symbol")
    list_select_related = ("order__instrument", "account")
    date_hierarchy = "time"

    @admin.display(description="Exchange time", ordering="time")
    def when(self, fill: Fill) -> SafeString:
        return instant(fill.time)

    @admin.display(description="Symbol", ordering="order__instrument__symbol")
    def symbol(self, fill: Fill) -> str:
        return fill.order.instrument.symbol

    @admin.display(description="Quantity", ordering="quantity")
    def size(self, fill: Fill) -> str:
        return number(fill.quantity)

    @admin.display(description="Price", ordering="price")
    def at_price(self, fill: Fill) -> str:
        return price(fill.price)

    @admin.display(description="Commission", ordering="commission")
    def fee(self, fill: Fill) -> str:
        return price(fill.commission)

    @admin.display(description="Order", ordering="order__order_ref")
    def order_ref(self, fill: Fill) -> SafeString:
        return link(fill.order)


@admin.register(Trade)
class TradeAdmin(HistoryAdmin):
    """Round trips built from fills."""

    list_display = (
        "opened",
        "instrument",
        "side",
        "status",
        "size",
        "left_open",
        "entry",
        "exit",
        "profit",
        "strategy",
        "account",
        "decision_link",
    )
    list_filter = ("state", "side", "account", "strategy")
    search_fields = ("instrument__symbol", "=opening_exec_id", "fills__order__order_ref")
    list_select_related = ("instrument", "strategy", "account", "decision__instrument")
    date_hierarchy = "opened_at"

    @admin.display(description="Opened", ordering="opened_at")
    def opened(self, trade: Trade) -> SafeString:
        return instant(trade.opened_at)

    @admin.display(description="State", ordering="state")
    def status(self, trade: Trade) -> SafeString:
        return badge(trade.state)

    @admin.display(description="Quantity", ordering="quantity")
    def size(self, trade: Trade) -> str:
        return number(trade.quantity)

    @admin.display(description="Open", ordering="open_quantity")
    def left_open(self, trade: Trade) -> str:
        return number(trade.open_quantity)

    @admin.display(description="Entry", ordering="entry_price")
    def entry(self, trade: Trade) -> str:
        return price(trade.entry_price)

    @admin.display(description="Exit", ordering="exit_price")
    def exit(self, trade: Trade) -> str:
        return price(trade.exit_price)

    @admin.display(description="P&L", ordering="pnl")
    def profit(self, trade: Trade) -> SafeString:
        return gain(trade.pnl)

    @admin.display(description="Decision")
    def decision_link(self, trade: Trade) -> SafeString:
        return link(trade.decision)
