from decimal import Decimal

import django.core.validators
from django.db import migrations, models

import trading.models.strategy


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0001_desk"),
    ]

    operations = [
        migrations.AddField(
            model_name="riskprofile",
            name="approval_above_value",
            field=models.DecimalField(
                blank=True,
                decimal_places=4,
                help_text="From this value on a person approves, whatever the mode. Empty: never.",
                max_digits=15,
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0")),
                    django.core.validators.MaxValueValidator(Decimal("1000000000")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="approval_minutes",
            field=models.PositiveIntegerField(
                default=10,
                help_text="How long an approval may be given, and is good for.",
                validators=[
                    django.core.validators.MinValueValidator(Decimal("1")),
                    django.core.validators.MaxValueValidator(Decimal("1440")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="cool_down_seconds",
            field=models.PositiveIntegerField(
                default=300,
                help_text="No new entry in an instrument after a stop-out.",
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0")),
                    django.core.validators.MaxValueValidator(Decimal("86400")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="duplicate_window_seconds",
            field=models.PositiveIntegerField(
                default=60,
                help_text="How long an equal order is taken for a slip.",
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0")),
                    django.core.validators.MaxValueValidator(Decimal("86400")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="is_desk",
            field=models.BooleanField(
                default=False, help_text="The desk's own limits: for orders without a strategy, and for the daily loss."
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="limit_collar",
            field=models.DecimalField(
                decimal_places=6,
                default=Decimal("0.03"),
                help_text="How far a limit may be from the middle of the quote, against the order's favour.",
                max_digits=15,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.0001")),
                    django.core.validators.MaxValueValidator(Decimal("0.5")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="max_daily_loss_halted",
            field=models.DecimalField(
                decimal_places=6,
                default=Decimal("0.04"),
                help_text="Loss of a day that sets HALTED.",
                max_digits=15,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.0001")),
                    django.core.validators.MaxValueValidator(Decimal("1")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="max_daily_loss_reducing",
            field=models.DecimalField(
                decimal_places=6,
                default=Decimal("0.02"),
                help_text="Loss of a day that sets REDUCING.",
                max_digits=15,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.0001")),
                    django.core.validators.MaxValueValidator(Decimal("1")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="max_decision_age_seconds",
            field=models.PositiveIntegerField(
                default=300,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("1")),
                    django.core.validators.MaxValueValidator(Decimal("3600")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="max_drawdown",
            field=models.DecimalField(
                decimal_places=6,
                default=Decimal("0.15"),
                help_text="Loss from the highest equity: HALTED.",
                max_digits=15,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.001")),
                    django.core.validators.MaxValueValidator(Decimal("1")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="max_stop_outs_per_day",
            field=models.PositiveIntegerField(
                default=3,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("1")),
                    django.core.validators.MaxValueValidator(Decimal("1000")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="message_burst",
            field=models.PositiveIntegerField(
                default=5,
                help_text="The most of them within one second.",
                validators=[
                    django.core.validators.MinValueValidator(Decimal("1")),
                    django.core.validators.MaxValueValidator(Decimal("100")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="messages_per_minute",
            field=models.PositiveIntegerField(
                default=30,
                help_text="New orders and changes of a strategy in an account.",
                validators=[
                    django.core.validators.MinValueValidator(Decimal("1")),
                    django.core.validators.MaxValueValidator(Decimal("600")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="restricted_symbols",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="Symbols or contract ids that are never entered, whatever else allows them.",
                validators=[trading.models.strategy.names_contracts],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="second_approver_above_value",
            field=models.DecimalField(
                blank=True,
                decimal_places=4,
                help_text="From this value on two persons approve. Empty: never.",
                max_digits=15,
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0")),
                    django.core.validators.MaxValueValidator(Decimal("1000000000")),
                ],
            ),
        ),
        migrations.AddField(
            model_name="riskprofile",
            name="session_collar",
            field=models.DecimalField(
                decimal_places=6,
                default=Decimal("0.2"),
                help_text="How far a limit may be from the last close.",
                max_digits=15,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.001")),
                    django.core.validators.MaxValueValidator(Decimal("1")),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="riskprofile",
            name="allowed_symbols",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text='Symbols or contract ids, as in ["AAPL", 756733]. Empty: the strategy\'s own instruments.',
                validators=[trading.models.strategy.names_contracts],
            ),
        ),
        migrations.AddConstraint(
            model_name="riskprofile",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_desk", True)), fields=("is_desk",), name="one_desk_profile"
            ),
        ),
    ]
