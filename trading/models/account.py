"""Accounts, which separate the ledgers, and their values over time."""

from __future__ import annotations

from django.db import models

from autotrader.core.money import money_field


class AccountKind(models.TextChoices):
    PAPER = "paper", "Paper"
    LIVE = "live", "Live"
    SHADOW = "shadow", "Shadow"
    REPLAY = "replay", "Replay"


class Account(models.Model):
    """One ledger: the broker's `DU…`, a strategy's `SHADOW:…`, a replay's `DUR…`."""

    id = models.CharField(primary_key=True, max_length=40)
    kind = models.CharField(max_length=10, choices=AccountKind)
    base_currency = models.CharField(max_length=3)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.id


class AccountSnapshot(models.Model):
    """The account's values at a time: each cycle, each fill, each day's close, and while it is watched.

    For history, performance and limits; never served as live.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="snapshots")
    cause = models.CharField(
        max_length=10, choices=[("cycle", "Cycle"), ("fill", "Fill"), ("close", "Close"), ("watch", "Watch")]
    )
    cycle = models.ForeignKey("trading.Cycle", null=True, blank=True, on_delete=models.PROTECT)
    at = models.DateTimeField()
    market_at = models.DateTimeField()
    day = models.DateField(null=True, blank=True, help_text="The exchange's day it belongs to.")
    net_liquidation = money_field(null=True)
    day_base = money_field(null=True, help_text="Net liquidation that the day's loss is measured from.")
    peak = money_field(null=True, help_text="Highest net liquidation, which drawdown is measured from.")
    flow = money_field(default=0, help_text="Money that came or went while nothing was held; no gain and no loss.")
    limit_reached = models.CharField(
        max_length=8,
        blank=True,
        choices=[("REDUCING", "Reducing"), ("HALTED", "Halted")],
        help_text="The level of loss that was acted on at this snapshot.",
    )
    cash = money_field(null=True)
    realized_pnl = money_field(null=True)
    unrealized_pnl = money_field(null=True)
    positions = models.JSONField(default=list)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "at"], name="snapshot_account_at"),
            models.Index(fields=["account", "day"], name="snapshot_account_day"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "day"], name="one_close_a_day", condition=models.Q(cause="close")
            )
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.at:%Y-%m-%d %H:%M}"
