"""What reconcile compared last, and the differences between the broker and us that a person must see."""

from __future__ import annotations

from django.db import models

from autotrader.core.money import money_field


class DiscrepancyKind(models.TextChoices):
    """Append-only names."""

    POSITION = "position", "Position differs"
    CASH = "cash", "Cash differs"
    NAKED = "naked", "Position without its stop"
    OVER_CLOSED = "over_closed", "More closes than is held"
    UNKNOWN_ORDER = "unknown_order", "Order whose outcome is not known"
    DOUBLED = "doubled", "More than one order under one reference"
    UNRECORDED = "unrecorded", "Order of this desk that it has no record of"
    OVERFILL = "overfill", "Filled above its quantity"
    LATE_FILL = "late_fill", "Filled after its end"
    BUST = "bust", "Fill taken back"
    BLOCKED = "blocked", "Message of the broker that could not be applied"
    CANCEL = "cancel", "Cancel that was not confirmed"


class Discrepancy(models.Model):
    """Opened by reconcile, closed by it when both sides agree again, or by a person with a reason.

    `blocking`: while it is open, the account opens no position. `subject` is "kind:identity", as of an Event; one
    subject has one open discrepancy of a kind.
    """

    account = models.ForeignKey("trading.Account", on_delete=models.PROTECT, related_name="discrepancies")
    kind = models.CharField(max_length=20, choices=DiscrepancyKind)
    subject = models.CharField(max_length=80)
    instrument = models.ForeignKey("trading.Instrument", null=True, blank=True, on_delete=models.PROTECT)
    order = models.ForeignKey("trading.Order", null=True, blank=True, on_delete=models.PROTECT)
    blocking = models.BooleanField(default=True)
    state = models.CharField(max_length=8, choices=[("OPEN", "Open"), ("RESOLVED", "Resolved")], default="OPEN")
    version = models.PositiveIntegerField(default=1)
    ours = models.CharField(max_length=80, blank=True)
    theirs = models.CharField(max_length=80, blank=True)
    detail = models.TextField()
    document = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    market_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=80, blank=True)
    resolution = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "discrepancies"
        permissions = [("resolve_discrepancy", "Can resolve discrepancies")]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "subject"], name="one_open_discrepancy", condition=models.Q(state="OPEN")
            )
        ]
        indexes = [models.Index(fields=["account", "state"], name="discrepancy_open")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"


class Reconciliation(models.Model):
    """What the last complete look at the broker's book compared, one row an account.

    The cash that we expect is `base_cash` and what the fills after `base_fill` have cost or brought since.
    """

    account = models.OneToOneField("trading.Account", primary_key=True, on_delete=models.PROTECT)
    at = models.DateTimeField()
    market_at = models.DateTimeField()
    orders = models.PositiveIntegerField()
    executions = models.PositiveIntegerField()
    positions = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, blank=True)
    cash = money_field(null=True, help_text="The broker's.")
    expected_cash = money_field(null=True, help_text="By our fills; empty while it cannot be known.")
    cash_note = models.TextField(blank=True, help_text="Why cash is not compared now.")
    base_cash = money_field(null=True)
    base_fill = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.account_id} {self.at:%Y-%m-%d %H:%M:%S}"
