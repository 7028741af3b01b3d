"""What the owner keeps: what it sent, what the broker said, known contracts and the Halt."""

from __future__ import annotations

from django.db import models


class Submission(models.Model):
    """One frame that may have left (SENT) or never will (VOID).

    The unique key is the race between the sender and whoever resolves the order as absent: the first insert wins.
    """

    class State(models.TextChoices):
        SENT = "SENT"
        VOID = "VOID"

    order_ref = models.CharField(max_length=20)
    revision = models.PositiveIntegerField(help_text="0 is the place, each price change the next.")
    account = models.CharField(max_length=40)
    role = models.CharField(max_length=10, blank=True)
    state = models.CharField(max_length=4, choices=State.choices)
    version = models.PositiveIntegerField(default=1)
    terms = models.TextField(default="{}", help_text="Canonical JSON of what the frame says.")
    intent_hash = models.CharField(max_length=64, blank=True)
    detail = models.TextField(blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order_ref", "revision"], name="broker_submission_once")]

    def __str__(self) -> str:
        return f"{self.order_ref}/{self.revision} {self.state}"


class BrokerMessage(models.Model):
    """One thing the broker said, as it came; ERROR where it could not be applied yet, ASIDE where a person said that
    it need not be."""

    class State(models.TextChoices):
        APPLIED = "APPLIED"
        ERROR = "ERROR"
        ASIDE = "ASIDE"

    kind = models.CharField(max_length=40)
    order_ref = models.CharField(max_length=200, blank=True)
    perm_id = models.BigIntegerField(default=0)
    exec_id = models.CharField(max_length=200, blank=True)
    payload = models.TextField()
    received_at = models.DateTimeField()
    state = models.CharField(max_length=7, choices=State.choices)
    version = models.PositiveIntegerField(default=1)
    error = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["state", "id"], name="broker_message_state"),
            models.Index(fields=["order_ref", "id"], name="broker_message_order"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.kind} {self.order_ref} {self.state}"


class Contract(models.Model):
    """A contract as the broker described it. `source` is the kind of gateway, whose numbers are not another's."""

    source = models.CharField(max_length=10)
    con_id = models.BigIntegerField()
    symbol = models.CharField(max_length=40)
    sec_type = models.CharField(max_length=10)
    exchange = models.CharField(max_length=20)
    currency = models.CharField(max_length=10)
    document = models.TextField()
    fetched_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "con_id"], name="broker_contract_once")]
        indexes = [models.Index(fields=["source", "symbol"], name="broker_contract_symbol")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.con_id}"


class Halt(models.Model):
    """The kill switch's row; the stricter of it and the file latch holds."""

    class State(models.TextChoices):
        ACTIVE = "ACTIVE"
        REDUCING = "REDUCING"
        HALTED = "HALTED"

    id = models.SmallIntegerField(primary_key=True, default=1)
    state = models.CharField(max_length=8, choices=State.choices)
    reason = models.TextField(blank=True)
    actor = models.CharField(max_length=80)
    at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)
    cancel = models.CharField(
        max_length=7,
        blank=True,
        choices=[("entries", "Entries"), ("all", "All")],
        help_text="What this halt cancels; goes on after a restart until confirmed.",
    )
    cancelled_at = models.DateTimeField(null=True, blank=True, help_text="When that was confirmed.")
    asked = models.PositiveIntegerField(null=True, blank=True, help_text="Orders that were asked to end.")
    confirmed = models.PositiveIntegerField(null=True, blank=True, help_text="Of them, those that work no longer.")
    working = models.JSONField(default=list, blank=True, help_text="Those whose end is not proven.")
    released_for = models.CharField(
        max_length=10, blank=True, help_text="The broker it was released for last: another real one stays HALTED."
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="broker_halt_single")]

    def __str__(self) -> str:
        return str(self.state)
