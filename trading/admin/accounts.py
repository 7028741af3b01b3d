"""Ledgers and their values over time."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import HistoryAdmin
from autotrader.core.formats import gain, instant, money
from trading.admin.kit_finders import by_field
from trading.admin.kit_lists import BigHistoryAdmin, LedgerFilter
from trading.models import Account, AccountSnapshot


@admin.register(Account)
class AccountAdmin(HistoryAdmin):
    """Ledgers; they come into being with the first row that needs them."""

    list_display = ("id", "kind", "base_currency", "created_at")
    list_filter = ("kind",)
    search_fields = ("id",)


@admin.register(AccountSnapshot)
class AccountSnapshotAdmin(BigHistoryAdmin):
    """Values at a time; history, never what the account holds now."""

    list_display = ("when", "account", "cause", "equity", "cash_held", "realized", "unrealized")
    list_filter = (("account", LedgerFilter),)
    search_help_text = "Account"
    finders = (by_field("account_id"),)
    list_select_related = ("account",)

    @admin.display(description="Market time", ordering="market_at")
    def when(self, snapshot: AccountSnapshot) -> SafeString:
        return instant(snapshot.market_at)

    @admin.display(description="Net liquidation", ordering="net_liquidation")
    def equity(self, snapshot: AccountSnapshot) -> str:
        return money(snapshot.net_liquidation)

    @admin.display(description="Cash", ordering="cash")
    def cash_held(self, snapshot: AccountSnapshot) -> str:
        return money(snapshot.cash)

    @admin.display(description="Realised P&L", ordering="realized_pnl")
    def realized(self, snapshot: AccountSnapshot) -> SafeString:
        return gain(snapshot.realized_pnl)

    @admin.display(description="Unrealised P&L", ordering="unrealized_pnl")
    def unrealized(self, snapshot: AccountSnapshot) -> SafeString:
        return gain(snapshot.unrealized_pnl)
