"""What was seen, what was decided, and what each rule said of it."""

from __future__ import annotations

from django.db import models

from autotrader.core.money import price_field, quantity_field, ratio_field


class DecisionType(models.TextChoices):
    BUY = "buy"
    SELL = "sell"
    HOLD = "hold"


class Purpose(models.TextChoices):
    ENTRY = "entry"
    EXIT = "exit"
    NONE = "none"


class DecisionState(models.TextChoices):
    PROPOSED = "PROPOSED"
    HOLD = "HOLD"
    ALLOWED = "ALLOWED"
    REFUSED = "REFUSED"


class Analysis(models.Model):
    """One answer about one chart, or about several (`timeframe` 0 = the consolidation)."""

    execution = models.ForeignKey("trading.WorkflowExecution", on_delete=models.PROTECT, related_name="analyses")
    timeframe = models.PositiveSmallIntegerField()
    period = models.CharField(max_length=20, blank=True)
    bar_size = models.CharField(max_length=20, blank=True)
    direction = models.CharField(max_length=10)
    strength = models.FloatField()
    summary = models.TextField()
    facts = models.JSONField(default=dict)
    decided_by = models.CharField(max_length=80)
    bars = models.ForeignKey("artifacts.Artifact", null=True, on_delete=models.PROTECT, related_name="+")
    chart = models.ForeignKey("artifacts.Artifact", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    model_calls = models.JSONField(default=list, help_text="Ids of the paid calls behind it.")

    class Meta:
        ordering = ["execution", "timeframe"]
        verbose_name_plural = "analyses"
        constraints = [models.UniqueConstraint(fields=["execution", "timeframe"], name="analysis_once")]

    def __str__(self) -> str:
        return f"{self.bar_size or 'consolidated'}: {self.direction}"


class Decision(models.Model):
    """Buy, sell or hold: the analyst's prices beside ours, recomputed from the quote."""

    execution = models.OneToOneField("trading.WorkflowExecution", on_delete=models.PROTECT, related_name="decision")
    account = models.ForeignKey("trading.Account", on_delete=models.PROTECT, related_name="decisions")
    strategy = models.ForeignKey("trading.Strategy", on_delete=models.PROTECT, related_name="decisions")
    instrument = models.ForeignKey("trading.Instrument", on_delete=models.PROTECT, related_name="decisions")
    type = models.CharField(max_length=4, choices=DecisionType)
    purpose = models.CharField(max_length=5, choices=Purpose, default=Purpose.NONE)
    state = models.CharField(max_length=10, choices=DecisionState, default=DecisionState.PROPOSED)
    version = models.PositiveIntegerField(default=1)
    decided_by = models.CharField(max_length=80)
    strategy_used = models.CharField(max_length=80)
    claimed_price = price_field(null=True, help_text="The price the analyst says it saw.")
    target_price = price_field(null=True)
    stop_price = price_field(null=True)
    price = price_field(null=True, help_text="The market price everything below is recomputed from.")
    bid = price_field(null=True)
    ask = price_field(null=True)
    quote_at = models.DateTimeField(null=True)
    reward_ratio = ratio_field(null=True, help_text="R = |target − price| / |price − stop|")
    profit_margin = ratio_field(null=True, help_text="|target − price| / price, negative on the wrong side")
    claimed_reward_ratio = models.FloatField(null=True)
    claimed_profit_margin = models.FloatField(null=True)
    position_quantity = quantity_field(default=0, help_text="Held when it was decided.")
    quantity = quantity_field(null=True, help_text="As sized.")
    limit_price = price_field(null=True)
    confidence = models.FloatField(null=True)
    rationale = models.TextField(blank=True)
    evidence = models.JSONField(default=list)
    reasons = models.JSONField(default=list, help_text="Codes, the first is the one that counts.")
    model_calls = models.JSONField(default=list)
    at = models.DateTimeField()
    market_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "id"], name="decision_by_account"),
            models.Index(fields=["strategy", "id"], name="decision_by_strategy"),
            models.Index(fields=["instrument", "id"], name="decision_by_instrument"),
            models.Index(fields=["state", "id"], name="decision_by_state"),
            models.Index(fields=["type", "id"], name="decision_by_type"),
            models.Index(fields=["at", "id"], name="decision_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.instrument} {self.market_at:%Y-%m-%d}"


class RiskVerdict(models.Model):
    """What one control said of a decision or a request; every control's word is kept, not only the first refusal."""

    decision = models.ForeignKey(Decision, null=True, blank=True, on_delete=models.PROTECT, related_name="verdicts")
    request = models.ForeignKey(
        "trading.OrderRequest", null=True, blank=True, on_delete=models.PROTECT, related_name="verdicts"
    )
    rule = models.CharField(max_length=40)
    allowed = models.BooleanField()
    code = models.CharField(max_length=40, blank=True)
    message = models.TextField()
    values = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["decision", "rule"], name="verdict_once"),
            models.UniqueConstraint(fields=["request", "rule"], name="verdict_of_request_once"),
            models.CheckConstraint(
                condition=models.Q(decision__isnull=True) ^ models.Q(request__isnull=True), name="verdict_of_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {'allowed' if self.allowed else self.code}"
