"""What a person or a program asked of the desk directly, and the answer it was given: once a key."""

from __future__ import annotations

from django.db import models


class RequestKind(models.TextChoices):
    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"


class OrderRequest(models.Model):
    """A request to place, change or cancel an order, kept before anything is done about it.

    `idempotency_key` is the client's own: the same key with the same body is told the same answer again, with another
    body it is refused. `body_hash` is the SHA-256 of the canonical body.
    """

    client = models.CharField(max_length=80, help_text="user:<name> or key:<prefix>.")
    idempotency_key = models.CharField(max_length=80)
    kind = models.CharField(max_length=6, choices=RequestKind)
    body = models.JSONField()
    body_hash = models.CharField(max_length=64)
    actor = models.CharField(max_length=80)
    must_be_approved = models.BooleanField(
        default=False, help_text="The key it came by may only propose: a person approves, whatever the limits say."
    )
    account = models.ForeignKey("trading.Account", null=True, blank=True, on_delete=models.PROTECT)
    strategy = models.ForeignKey(
        "trading.Strategy", null=True, blank=True, on_delete=models.PROTECT, related_name="requests"
    )
    instrument = models.ForeignKey("trading.Instrument", null=True, blank=True, on_delete=models.PROTECT)
    state = models.CharField(
        max_length=10,
        choices=[("RECEIVED", "Received"), ("ACCEPTED", "Accepted"), ("REFUSED", "Refused")],
        default="RECEIVED",
    )
    version = models.PositiveIntegerField(default=1)
    code = models.CharField(max_length=40, blank=True, help_text="Why it was refused.")
    message = models.TextField(blank=True)
    status = models.PositiveSmallIntegerField(default=0, help_text="The refusal's status as HTTP has it.")
    details = models.JSONField(default=dict, blank=True, help_text="What a program needs to correct the request.")
    correlation_id = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    market_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("request_order", "Can place, change and cancel orders"),
            ("remove_protection", "Can cancel the stop of an open position"),
        ]
        constraints = [models.UniqueConstraint(fields=["client", "idempotency_key"], name="request_once")]
        indexes = [models.Index(fields=["created_at"], name="request_waiting", condition=models.Q(state="RECEIVED"))]

    def __str__(self) -> str:
        return f"request {self.pk}"
