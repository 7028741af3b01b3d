"""A person's yes or no to one exact order, and the row of work that a yes becomes."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from autotrader.core.money import money_field, price_field, quantity_field, ratio_field


class ApprovalState(models.TextChoices):
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    USED = "USED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    VOID = "VOID"


class Approval(models.Model):
    """Bound to the hash of the exact order; expiring, single-use. `terms` is what was hashed, and what is sent.

    An exit that moves a target has no order row of its own: `order` is null then, and `decision` or `request` names
    its cause. `expires_at` is market time.
    """

    account = models.ForeignKey("trading.Account", on_delete=models.PROTECT, related_name="approvals")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT, related_name="+")
    order = models.OneToOneField(
        "trading.Order", null=True, blank=True, on_delete=models.PROTECT, related_name="approval"
    )
    decision = models.OneToOneField(
        "trading.Decision", null=True, blank=True, on_delete=models.PROTECT, related_name="approval"
    )
    request = models.OneToOneField(
        "trading.OrderRequest", null=True, blank=True, on_delete=models.PROTECT, related_name="approval"
    )
    digest = models.CharField(max_length=64, help_text="SHA-256 of `terms`.")
    terms = models.JSONField(help_text="account, con_id, legs (side, quantity, type, prices) and expiry.")
    state = models.CharField(max_length=8, choices=ApprovalState, default=ApprovalState.PENDING)
    version = models.PositiveIntegerField(default=1)
    cause = models.CharField(max_length=40, help_text="mode, value …")
    needed = models.PositiveSmallIntegerField(default=1, help_text="How many persons must say yes.")
    value = money_field(help_text="Quantity at the limit, base currency.")
    quantity = quantity_field()
    price = price_field(help_text="The market price it was asked at; drift beyond the collar voids it.")
    reward_ratio = ratio_field(null=True)
    rationale = models.TextField(blank=True)
    what_if = models.JSONField(default=dict, help_text="The broker's margins and commission, or why it gave none.")
    requested_by = models.CharField(max_length=80)
    requested_at = models.DateTimeField()
    market_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        permissions = [("approve_order", "Can approve and reject orders")]
        indexes = [models.Index(fields=["state", "expires_at"], name="approval_open")]

    def __str__(self) -> str:
        return f"approval {self.pk}"


class ApprovalVote(models.Model):
    """One person's word on an approval; a person has one."""

    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="votes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    approve = models.BooleanField()
    digest = models.CharField(max_length=64, help_text="What this person was shown.")
    reason = models.TextField(blank=True)
    at = models.DateTimeField()
    market_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["approval", "user"], name="one_vote_a_person")]

    def __str__(self) -> str:
        return f"{self.user}: {'yes' if self.approve else 'no'}"


class Dispatch(models.Model):
    """The claimable row of an order that may be sent now: approved by a person, or requested and in need of none.

    As with an execution, `epoch` grows with each claim, and whose epoch is not the row's writes and sends nothing.
    """

    approval = models.OneToOneField(Approval, null=True, blank=True, on_delete=models.PROTECT, related_name="dispatch")
    request = models.OneToOneField(
        "trading.OrderRequest", null=True, blank=True, on_delete=models.PROTECT, related_name="dispatch"
    )
    lane = models.CharField(max_length=10, default="now")
    state = models.CharField(
        max_length=10,
        choices=[("QUEUED", "Queued"), ("RUNNING", "Running"), ("DONE", "Done"), ("FAILED", "Failed")],
        default="QUEUED",
    )
    version = models.PositiveIntegerField(default=1)
    epoch = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=80, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    reason = models.TextField(blank=True)
    correlation_id = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "dispatches"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(approval__isnull=False) | models.Q(request__isnull=False),
                name="dispatch_of_something",
            )
        ]
        indexes = [
            models.Index(
                fields=["lane", "id"], name="dispatch_claimable", condition=models.Q(state__in=["QUEUED", "RUNNING"])
            )
        ]

    def __str__(self) -> str:
        return f"dispatch {self.pk}"
