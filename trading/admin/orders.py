"""Orders, their changes, fills and trades: history to be read; the halt's pages hang on orders too."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import link
from autotrader.core.formats import ABSENT, badge, instant, number, price
from trading.admin.finding import find_url
from trading.admin.halt import halt_view, release_view
from trading.admin.kit_finders import (
    by_decision_of_execution,
    by_field,
    by_field_in_accounts,
    by_number_in_accounts,
    by_order_ref,
    by_symbol,
    by_trade_of_order,
)
from trading.admin.kit_lists import BigHistoryAdmin, DateFilter, LedgerFilter
from trading.admin.kit_results import costs_told, result_told, with_results
from trading.admin.order_actions import PERMISSION, cancel_chosen, cancel_view, may_cancel
from trading.models import Fill, Order, OrderChange, Trade
from trading.selectors.stories import order_story
from trading.selectors.trade_costs import results_of


@admin.register(Order)
class OrderAdmin(BigHistoryAdmin):
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
    list_filter = (("created_at", DateFilter), "state", "role", ("account", LedgerFilter), "strategy")
    timed = "created_at"
    search_help_text = "Symbol, order ref, group, perm id or correlation id"
    finders = (
        by_field("order_ref"),
        by_field("group"),
        by_number_in_accounts("perm_id"),
        by_symbol(),
        by_decision_of_execution(),
    )
    actions = ("cancel_chosen", "export_chosen")
    exported = (
        "id", "order_ref", "group", "perm_id", "account_id", "strategy__name", "instrument__symbol", "role", "side",
        "quantity", "order_type", "limit_price", "stop_price", "tif", "state", "broker_status", "filled_quantity",
        "average_price", "decision_id", "request_id", "reason", "created_at", "market_at", "sending_at", "ended_at",
    )  # fmt: skip
    list_select_related = ("instrument", "account", "decision__instrument", "decision__execution")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("halt/", wrap(halt_view), name="trading_halt"),
            path("release/", wrap(release_view), name="trading_release"),
            path("<int:pk>/cancel/", wrap(cancel_view), name="trading_order_cancel"),
            find_url(self.admin_site),
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

    def has_request_permission(self, request: HttpRequest) -> bool:
        """May this person ask for the end of an order?"""
        return request.user.has_perm(PERMISSION)

    @admin.action(description="Cancel…", permissions=["request"])
    def cancel_chosen(self, request: HttpRequest, orders: QuerySet[Order]) -> HttpResponse | None:
        """Ask once more with the reason, then ask the broker for the end of each."""
        return cancel_chosen(self, request, orders)

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
class OrderChangeAdmin(BigHistoryAdmin):
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
    search_help_text = "Order ref or group"
    finders = (by_order_ref("order"),)
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
class FillAdmin(BigHistoryAdmin):
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
    list_filter = (("account", LedgerFilter),)
    search_help_text = "Symbol, order ref, group or exec id"
    finders = (by_field_in_accounts("exec_id"), by_order_ref("order"), by_symbol("order__instrument"))
    list_select_related = ("order__instrument", "account")
    exported = (
        "id", "exec_id", "account_id", "order__order_ref", "order__instrument__symbol", "side", "quantity", "price",
        "commission", "realized_pnl", "superseded", "correction", "trade_id", "time", "at",
    )  # fmt: skip

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
class TradeAdmin(BigHistoryAdmin):
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
    list_filter = (("opened_at", DateFilter), "state", ("account", LedgerFilter), "strategy")
    timed = "opened_at"
    search_help_text = "Symbol, order ref, group or exec id of the opening fill"
    finders = (by_symbol(), by_field_in_accounts("opening_exec_id"), by_trade_of_order)
    list_select_related = ("instrument", "strategy", "account", "decision__instrument")
    exported = (
        "id", "account_id", "strategy__name", "instrument__symbol", "side", "state", "quantity", "open_quantity",
        "entry_price", "exit_price", "instrument__currency", "all_commissions", "final_pnl", "result", "decision_id",
        "opening_exec_id", "opened_at", "closed_at",
    )  # fmt: skip
    # The row's own amounts leave out what the broker has still to tell.
    exclude = ("commission", "pnl")
    readonly_fields = ("costs", "outcome")

    def _export(self, request: HttpRequest, rows: QuerySet[Any], filters: dict[str, str]) -> Any:
        return super()._export(request, with_results(rows), filters)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list with what is known of each result."""
        changes = super().get_changelist_instance(request)
        rows: list[Any] = list(changes.result_list)
        for result in results_of(rows):
            cast("Any", result.trade).told = result_told(result)
        changes.result_list = rows
        return changes

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
        told: SafeString = getattr(trade, "told", SafeString(ABSENT))
        return told

    @admin.display(description="Commissions")
    def costs(self, trade: Trade) -> str:
        return costs_told(results_of([trade])[0])

    @admin.display(description="P&L")
    def outcome(self, trade: Trade) -> SafeString:
        return result_told(results_of([trade])[0])

    @admin.display(description="Decision")
    def decision_link(self, trade: Trade) -> SafeString:
        return link(trade.decision)
