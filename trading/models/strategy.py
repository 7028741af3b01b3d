"""What a person sets up: a strategy and the limits it trades within."""

from __future__ import annotations

import re
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from autotrader.core.money import money_field, quantity_field, ratio_field

SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9. ]{0,19}")
# (the smaller, the larger, why): limits of one profile that must not contradict each other.
NOT_ABOVE = (
    ("max_daily_loss_reducing", "max_daily_loss_halted", "The loss that reduces comes before the loss that halts."),
    ("approval_above_value", "second_approver_above_value", "A second person is asked above where the first is."),
    ("price_collar", "limit_collar", "A marketable limit must lie inside the collar that limits are held to."),
    ("price_collar", "session_collar", "A marketable limit must lie inside the collar around the last close."),
)


def within(low: str, high: str) -> list[MinValueValidator | MaxValueValidator]:
    """Validators of a limit: what lies outside is a slip, not a choice."""
    return [MinValueValidator(Decimal(low)), MaxValueValidator(Decimal(high))]


def names_contracts(value: object) -> None:
    """A list of symbols as the broker writes them, and of contract ids; a typing error would restrict nothing."""
    names = value if isinstance(value, list) else [None]
    for name in names:
        is_id = isinstance(name, int) and not isinstance(name, bool) and name > 0
        if not is_id and not (isinstance(name, str) and SYMBOL.fullmatch(name)):
            raise ValidationError('Write a list of symbols in capitals or of contract ids, as in ["AAPL", 756733].')


class Mode(models.TextChoices):
    AUTO = "auto", "Auto: send to the broker"
    APPROVE = "approve", "Approve: send what a person has approved"
    SHADOW = "shadow", "Shadow: fill on live quotes in a ledger of its own"


class RiskProfile(models.Model):
    """Limits of a strategy; fractions are of 1 (0.05 = 5 %), amounts in the account's base currency."""

    name = models.CharField(max_length=80, unique=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    min_reward_ratio = ratio_field(
        validators=within("0.1", "100"), default=Decimal("1"), help_text="Least R = |target − price| / |price − stop|."
    )
    min_profit_margin = ratio_field(
        validators=within("0", "1"), default=Decimal("0.05"), help_text="Least |target − price| / price."
    )
    max_price_deviation = ratio_field(
        validators=within("0.0001", "0.1"),
        default=Decimal("0.01"),
        help_text="How far the analyst's price may be from the quote.",
    )
    price_collar = ratio_field(
        validators=within("0.0001", "0.1"),
        default=Decimal("0.01"),
        help_text="How far a marketable limit may reach past the quote.",
    )
    max_spread = ratio_field(
        validators=within("0.0001", "0.1"), default=Decimal("0.01"), help_text="Widest (ask − bid) / mid."
    )
    max_quote_age_seconds = models.PositiveIntegerField(validators=within("1", "3600"), default=15)
    risk_per_trade = ratio_field(
        validators=within("0.0001", "0.1"), default=Decimal("0.01"), help_text="Equity at risk between entry and stop."
    )
    max_position_fraction = ratio_field(
        validators=within("0.001", "1"), default=Decimal("0.2"), help_text="Largest position as a part of equity."
    )
    max_exposure_fraction = ratio_field(
        validators=within("0.001", "4"), default=Decimal("1"), help_text="All positions and open entries together."
    )
    max_order_value = money_field(validators=within("1", "1000000000"), default=Decimal("250000"))
    max_order_quantity = quantity_field(validators=within("1", "100000000"), default=Decimal("10000"))
    max_open_orders = models.PositiveIntegerField(
        validators=within("0", "1000"), default=10, help_text="Working entries of the account."
    )
    max_orders_per_day = models.PositiveIntegerField(
        validators=within("0", "1000"), default=10, help_text="Entries of a strategy in one market day."
    )
    allowed_symbols = models.JSONField(
        default=list,
        blank=True,
        validators=[names_contracts],
        help_text='Symbols or contract ids, as in ["AAPL", 756733]. Empty: the strategy\'s own instruments.',
    )
    restricted_symbols = models.JSONField(
        default=list,
        blank=True,
        validators=[names_contracts],
        help_text="Symbols or contract ids that are never entered, whatever else allows them.",
    )
    is_desk = models.BooleanField(
        default=False, help_text="The desk's own limits: for orders without a strategy, and for the daily loss."
    )
    limit_collar = ratio_field(
        validators=within("0.0001", "0.5"),
        default=Decimal("0.03"),
        help_text="How far a limit may be from the middle of the quote, against the order's favour.",
    )
    session_collar = ratio_field(
        validators=within("0.001", "1"),
        default=Decimal("0.2"),
        help_text="How far a limit may be from the last close.",
    )
    messages_per_minute = models.PositiveIntegerField(
        validators=within("1", "600"), default=30, help_text="New orders and changes of a strategy in an account."
    )
    message_burst = models.PositiveIntegerField(
        validators=within("1", "100"), default=5, help_text="The most of them within one second."
    )
    duplicate_window_seconds = models.PositiveIntegerField(
        validators=within("0", "86400"), default=60, help_text="How long an equal order is taken for a slip."
    )
    max_decision_age_seconds = models.PositiveIntegerField(validators=within("1", "3600"), default=300)
    max_daily_loss_reducing = ratio_field(
        validators=within("0.0001", "1"), default=Decimal("0.02"), help_text="Loss of a day that sets REDUCING."
    )
    max_daily_loss_halted = ratio_field(
        validators=within("0.0001", "1"), default=Decimal("0.04"), help_text="Loss of a day that sets HALTED."
    )
    max_drawdown = ratio_field(
        validators=within("0.001", "1"), default=Decimal("0.15"), help_text="Loss from the highest equity: HALTED."
    )
    max_stop_outs_per_day = models.PositiveIntegerField(validators=within("1", "1000"), default=3)
    cool_down_seconds = models.PositiveIntegerField(
        validators=within("0", "86400"), default=300, help_text="No new entry in an instrument after a stop-out."
    )
    approval_above_value = money_field(
        null=True,
        blank=True,
        validators=within("0", "1000000000"),
        help_text="From this value on a person approves, whatever the mode. Empty: never.",
    )
    second_approver_above_value = money_field(
        null=True,
        blank=True,
        validators=within("0", "1000000000"),
        help_text="From this value on two persons approve. Empty: never.",
    )
    approval_minutes = models.PositiveIntegerField(
        validators=within("1", "1440"), default=10, help_text="How long an approval may be given, and is good for."
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(risk_per_trade__gt=0, risk_per_trade__lte=Decimal("0.1")), name="risk_per_trade_sane"
            ),
            models.CheckConstraint(
                condition=models.Q(price_collar__gt=0, price_collar__lte=Decimal("0.1")), name="price_collar_sane"
            ),
            models.UniqueConstraint(fields=["is_desk"], name="one_desk_profile", condition=models.Q(is_desk=True)),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError, naming the field, where limits contradict each other or the desk is left without."""
        for smaller, larger, why in NOT_ABOVE:
            low, high = getattr(self, smaller), getattr(self, larger)
            if low is not None and high is not None and low > high:
                raise ValidationError({smaller: f"{why} At most {high} ({larger.replace('_', ' ')})."})
        both = {str(name) for name in self.allowed_symbols} & {str(name) for name in self.restricted_symbols}
        if both:
            raise ValidationError({"restricted_symbols": f"Allowed and restricted at once: {', '.join(sorted(both))}."})
        if not self.is_desk and RiskProfile.objects.filter(pk=self.pk, is_desk=True).exists():
            raise ValidationError({"is_desk": "The desk must have limits of its own: change these instead."})


class RiskProfileVersion(models.Model):
    """One saved state of a profile: what it said, what was changed, by whom and why. Written once."""

    profile = models.ForeignKey(RiskProfile, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    values = models.JSONField()
    changed = models.JSONField(default=dict, help_text="Field: [before, after].")
    actor = models.CharField(max_length=80)
    at = models.DateTimeField()

    class Meta:
        ordering = ["profile", "-number"]
        constraints = [models.UniqueConstraint(fields=["profile", "number"], name="risk_profile_version_once")]

    def __str__(self) -> str:
        return f"{self.profile} v{self.number}"


class Strategy(models.Model):
    """A workflow version on instruments, with parameters, limits, schedule and mode."""

    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(default=True)
    workflow_version = models.ForeignKey("trading.WorkflowVersion", on_delete=models.PROTECT, related_name="strategies")
    instruments = models.ManyToManyField("trading.Instrument", blank=True, related_name="strategies")
    parameters = models.JSONField(
        default=dict, blank=True, help_text='For example {"period_1": "2 Y", "bar_1": "1 day", "period_2": "5 Y", …}.'
    )
    risk_profile = models.ForeignKey(RiskProfile, on_delete=models.PROTECT, related_name="strategies")
    analyst = models.CharField(
        max_length=20,
        blank=True,
        choices=[("rules", "Rules"), ("model", "Model")],
        help_text="Empty: the model where one is configured, else the rules.",
    )
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.AUTO)
    allow_short = models.BooleanField(default=False)
    interval_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: AUTOTRADER_CYCLE_INTERVAL_SECONDS; 0: never by schedule."
    )
    priority = models.SmallIntegerField(default=0, validators=within("-1000", "1000"), help_text="Higher runs first.")
    version = models.PositiveIntegerField(default=1, editable=False)
    suspended_at = models.DateTimeField(null=True, editable=False)
    suspended_reason = models.TextField(
        blank=True, editable=False, help_text="Why a control stopped new entries until a person resumes the strategy."
    )
    resumed_at = models.DateTimeField(
        null=True, editable=False, help_text="When a person resumed it; the entries of the day are counted from then."
    )

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "strategies"
        permissions = [("run_cycle", "Can run a cycle now"), ("resume_strategy", "Can resume a suspended strategy")]

    def __str__(self) -> str:
        return self.name
