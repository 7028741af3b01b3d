"""Orders, their changes, fills and the trades built from fills."""

from __future__ import annotations

from django.db import models

from autotrader.core.money import money_field, price_field, quantity_field


class OrderState(models.TextChoices):
    """Append-only names; the graph stands in trading.services.order_states."""

    DRAFT = "DRAFT"
    REFUSED = "REFUSED"
    PENDING_APPROVAL = "PENDING_APPROVAL"
    APPROVED = "APPROVED"
    SENDING = "SENDING"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"
    ABSENT = "ABSENT"
    SIMULATED = "SIMULATED"


TERMINAL = ("REFUSED", "FILLED", "CANCELLED", "REJECTED", "EXPIRED", "ABSENT", "SIMULATED")
LIVE = ("DRAFT", "PENDING_APPROVAL", "APPROVED", "SENDING", "SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED", "UNKNOWN")
WORKING = ("ACCEPTED", "PARTIALLY_FILLED")
AT_BROKER = ("SENDING", "SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED", "UNKNOWN")
UNSENT = ("DRAFT", "PENDING_APPROVAL", "APPROVED", "REFUSED")


class Role(models.TextChoices):
    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"
    EXTERNAL = "external"


SUFFIX = {Role.ENTRY: "-E", Role.STOP: "-S", Role.TARGET: "-T", Role.EXIT: "-X"}


class Order(models.Model):
    """Our intent and its life at the broker. Identity: `order_ref` (ours) and `perm_id` (theirs)."""

    account = models.ForeignKey("trading.Account", on_delete=models.PROTECT, related_name="orders")
    strategy = models.ForeignKey("trading.Strategy", null=True, on_delete=models.PROTECT, related_name="orders")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT, related_name="orders")
    decision = models.ForeignKey("trading.Decision", null=True, on_delete=models.PROTECT, related_name="orders")
    request = models.ForeignKey(
        "trading.OrderRequest", null=True, blank=True, on_delete=models.PROTECT, related_name="orders"
    )
    group = models.CharField(max_length=18, db_index=True)
    role = models.CharField(max_length=8, choices=Role)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    order_ref = models.CharField(max_length=20, unique=True)
    perm_id = models.BigIntegerField(null=True)
    side = models.CharField(max_length=4, choices=[("BUY", "Buy"), ("SELL", "Sell")])
    quantity = quantity_field()
    order_type = models.CharField(max_length=10)
    limit_price = price_field(null=True)
    stop_price = price_field(null=True)
    tif = models.CharField(max_length=5)
    state = models.CharField(max_length=20, choices=OrderState, default=OrderState.DRAFT)
    version = models.PositiveIntegerField(default=1)
    epoch = models.PositiveIntegerField(default=0, help_text="The epoch of the execution that wrote the intent.")
    reason = models.TextField(blank=True)
    intent_hash = models.CharField(max_length=64, blank=True)
    configuration = models.JSONField(default=dict, help_text="What was in force when it was sent, redacted.")
    submission_state = models.CharField(max_length=4, blank=True)
    broker_status = models.CharField(max_length=20, blank=True, help_text="The broker's own last word.")
    broker_detail = models.TextField(blank=True)
    broker_quantity = quantity_field(null=True, help_text="By the broker's word; an OCA group may cut it.")
    rejected = models.BooleanField(default=False, help_text="The broker refused it.")
    missing = models.CharField(max_length=10, blank=True, help_text="Reconcile: unproven or proven.")
    filled_quantity = quantity_field(default=0)
    average_price = price_field(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    market_at = models.DateTimeField()
    sending_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="The close at which a DAY order ends, in market time.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        permissions = [("halt_trading", "Can halt trading"), ("release_trading", "Can release trading")]
        constraints = [
            models.UniqueConstraint(
                fields=["decision", "role"],
                name="one_order_per_decision_and_role",
                condition=models.Q(decision__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["account", "strategy", "instrument"],
                name="one_live_entry",
                condition=models.Q(role="entry", state__in=LIVE),
            ),
            models.UniqueConstraint(
                fields=["request", "role"],
                name="one_order_per_request_and_role",
                condition=models.Q(request__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["account", "instrument"],
                name="one_live_entry_of_the_desk",
                condition=models.Q(role="entry", strategy__isnull=True, state__in=LIVE),
            ),
            models.UniqueConstraint(
                fields=["account", "perm_id"], name="perm_id_once", condition=models.Q(perm_id__isnull=False)
            ),
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="order_quantity_positive"),
        ]
        indexes = [
            models.Index(fields=["account", "instrument", "state"], name="order_account_instrument"),
            models.Index(fields=["account", "state"], name="order_account_state"),
            models.Index(fields=["account", "market_at"], name="order_account_market"),
            models.Index(fields=["account", "id"], name="order_by_account"),
            models.Index(fields=["strategy", "id"], name="order_by_strategy"),
            models.Index(fields=["instrument", "id"], name="order_by_instrument"),
            models.Index(fields=["state", "id"], name="order_by_state"),
            models.Index(fields=["role", "id"], name="order_by_role"),
            models.Index(fields=["created_at", "id"], name="order_by_time"),
        ]

    def __str__(self) -> str:
        return self.order_ref


class OrderChange(models.Model):
    """A change or the cancel of a working order, with its own life at the broker.

    A change has a revision, and leaves once. A cancel has none: it may be asked for again until the order has ended.
    """

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=6, choices=[("modify", "Modify"), ("cancel", "Cancel")], default="modify")
    revision = models.PositiveIntegerField(help_text="Of a modify from 1 on; 0 of a cancel.")
    request = models.ForeignKey(
        "trading.OrderRequest", null=True, blank=True, on_delete=models.PROTECT, related_name="changes"
    )
    actor = models.CharField(max_length=80, blank=True)
    decision = models.ForeignKey("trading.Decision", null=True, blank=True, on_delete=models.PROTECT)
    limit_price = price_field(null=True)
    stop_price = price_field(null=True)
    quantity = quantity_field(null=True, help_text="The new total, where that was changed.")
    state = models.CharField(
        max_length=10,
        choices=[("SENDING", "Sending"), ("ACKED", "Acked"), ("REJECTED", "Rejected"), ("UNKNOWN", "Unknown")],
    )
    version = models.PositiveIntegerField(default=1)
    reason = models.TextField(blank=True)
    configuration = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    market_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order", "revision"], name="order_change_once", condition=models.Q(kind="modify")
            ),
            models.UniqueConstraint(
                fields=["order"],
                name="one_open_cancel",
                condition=models.Q(kind="cancel", state__in=["SENDING", "UNKNOWN"]),
            ),
            models.UniqueConstraint(
                fields=["decision", "order"], name="one_change_per_decision", condition=models.Q(decision__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order.order_ref} r{self.revision}"


class Trade(models.Model):
    """A round trip of one strategy in one instrument, built from fills alone."""

    account = models.ForeignKey("trading.Account", on_delete=models.PROTECT, related_name="trades")
    strategy = models.ForeignKey("trading.Strategy", null=True, on_delete=models.PROTECT, related_name="trades")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT, related_name="trades")
    decision = models.ForeignKey("trading.Decision", null=True, on_delete=models.PROTECT, related_name="trades")
    opening_exec_id = models.CharField(max_length=80)
    side = models.CharField(max_length=5, choices=[("long", "Long"), ("short", "Short")])
    state = models.CharField(max_length=6, choices=[("OPEN", "Open"), ("CLOSED", "Closed")])
    version = models.PositiveIntegerField(default=1)
    quantity = quantity_field(help_text="Entered in all.")
    open_quantity = quantity_field()
    entry_price = price_field()
    exit_price = price_field(null=True)
    commission = money_field(default=0)
    pnl = money_field(null=True, help_text="Realised, after commissions of both sides.")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["account", "opening_exec_id"], name="trade_once")]
        indexes = [
            models.Index(fields=["account", "id"], name="trade_by_account"),
            models.Index(fields=["strategy", "id"], name="trade_by_strategy"),
            models.Index(fields=["instrument", "id"], name="trade_by_instrument"),
            models.Index(fields=["state", "id"], name="trade_by_state"),
            models.Index(fields=["opened_at", "id"], name="trade_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.instrument} {self.opened_at:%Y-%m-%d}"


class Fill(models.Model):
    """One execution, unique by `exec_id`; a correction replaces its predecessor, which is kept as superseded."""

    account = models.ForeignKey("trading.Account", on_delete=models.PROTECT, related_name="fills")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    trade = models.ForeignKey(Trade, null=True, on_delete=models.SET_NULL, related_name="fills")
    exec_id = models.CharField(max_length=80)
    exec_root = models.CharField(max_length=80, help_text="The id without its correction number.")
    correction = models.PositiveIntegerField(default=1)
    superseded = models.BooleanField(default=False)
    side = models.CharField(max_length=4, choices=[("BUY", "Buy"), ("SELL", "Sell")])
    quantity = quantity_field()
    price = price_field()
    commission = money_field(null=True)
    realized_pnl = money_field(null=True, help_text="The broker's figure.")
    time = models.DateTimeField(help_text="The exchange's time.")
    at = models.DateTimeField(help_text="When we booked it.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "exec_id"], name="fill_once"),
            models.UniqueConstraint(
                fields=["account", "exec_root"], name="one_current_fill", condition=models.Q(superseded=False)
            ),
        ]
        indexes = [models.Index(fields=["account", "time"], name="fill_account_time")]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} @ {self.price}"
