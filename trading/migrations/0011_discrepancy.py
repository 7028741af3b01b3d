import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0010_dispatch"),
    ]

    operations = [
        migrations.CreateModel(
            name="Discrepancy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("position", "Position differs"),
                            ("cash", "Cash differs"),
                            ("naked", "Position without its stop"),
                            ("over_closed", "More closes than is held"),
                            ("unknown_order", "Order whose outcome is not known"),
                            ("doubled", "More than one order under one reference"),
                            ("unrecorded", "Order of this desk that it has no record of"),
                            ("overfill", "Filled above its quantity"),
                            ("late_fill", "Filled after its end"),
                            ("bust", "Fill taken back"),
                            ("blocked", "Message of the broker that could not be applied"),
                            ("cancel", "Cancel that was not confirmed"),
                        ],
                        max_length=20,
                    ),
                ),
                ("subject", models.CharField(max_length=80)),
                ("blocking", models.BooleanField(default=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("OPEN", "Open"), ("RESOLVED", "Resolved")], default="OPEN", max_length=8
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("ours", models.CharField(blank=True, max_length=80)),
                ("theirs", models.CharField(blank=True, max_length=80)),
                ("detail", models.TextField()),
                ("document", models.JSONField(default=dict)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("market_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
                ("resolved_by", models.CharField(blank=True, max_length=80)),
                ("resolution", models.TextField(blank=True)),
            ],
            options={
                "verbose_name_plural": "discrepancies",
                "ordering": ["-id"],
                "permissions": [("resolve_discrepancy", "Can resolve discrepancies")],
            },
        ),
        migrations.AddField(
            model_name="discrepancy",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="discrepancies", to="trading.account"
            ),
        ),
        migrations.AddField(
            model_name="discrepancy",
            name="instrument",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to="trading.instrument"
            ),
        ),
        migrations.AddField(
            model_name="discrepancy",
            name="order",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to="trading.order"
            ),
        ),
        migrations.AddIndex(
            model_name="discrepancy",
            index=models.Index(fields=["account", "state"], name="discrepancy_open"),
        ),
        migrations.AddConstraint(
            model_name="discrepancy",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "OPEN")),
                fields=("account", "kind", "subject"),
                name="one_open_discrepancy",
            ),
        ),
        migrations.CreateModel(
            name="Reconciliation",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="trading.account",
                    ),
                ),
                ("at", models.DateTimeField()),
                ("market_at", models.DateTimeField()),
                ("orders", models.PositiveIntegerField()),
                ("executions", models.PositiveIntegerField()),
                ("positions", models.PositiveIntegerField()),
                ("currency", models.CharField(blank=True, max_length=3)),
                (
                    "cash",
                    models.DecimalField(decimal_places=4, help_text="The broker's.", max_digits=15, null=True),
                ),
                (
                    "expected_cash",
                    models.DecimalField(
                        decimal_places=4,
                        help_text="By our fills; empty while it cannot be known.",
                        max_digits=15,
                        null=True,
                    ),
                ),
                ("cash_note", models.TextField(blank=True, help_text="Why cash is not compared now.")),
                ("base_cash", models.DecimalField(decimal_places=4, max_digits=15, null=True)),
                ("base_fill", models.BigIntegerField(default=0)),
            ],
        ),
    ]
