import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0005_snapshot_of_a_day"),
    ]

    operations = [
        migrations.CreateModel(
            name="OrderRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client", models.CharField(help_text="user:<name> or key:<prefix>.", max_length=80)),
                ("idempotency_key", models.CharField(max_length=80)),
                (
                    "kind",
                    models.CharField(
                        choices=[("place", "Place"), ("modify", "Modify"), ("cancel", "Cancel")], max_length=6
                    ),
                ),
                ("body", models.JSONField()),
                ("body_hash", models.CharField(max_length=64)),
                ("actor", models.CharField(max_length=80)),
                (
                    "state",
                    models.CharField(
                        choices=[("RECEIVED", "Received"), ("ACCEPTED", "Accepted"), ("REFUSED", "Refused")],
                        default="RECEIVED",
                        max_length=10,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("code", models.CharField(blank=True, help_text="Why it was refused.", max_length=40)),
                ("message", models.TextField(blank=True)),
                (
                    "status",
                    models.PositiveSmallIntegerField(default=0, help_text="The refusal's status as HTTP has it."),
                ),
                (
                    "details",
                    models.JSONField(
                        blank=True, default=dict, help_text="What a program needs to correct the request."
                    ),
                ),
                ("correlation_id", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField()),
                ("market_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("request_order", "Can place, change and cancel orders"),
                    ("remove_protection", "Can cancel the stop of an open position"),
                ],
            },
        ),
        migrations.AddField(
            model_name="orderrequest",
            name="account",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to="trading.account"
            ),
        ),
        migrations.AddField(
            model_name="orderrequest",
            name="strategy",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="requests",
                to="trading.strategy",
            ),
        ),
        migrations.AddField(
            model_name="orderrequest",
            name="instrument",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to="trading.instrument"
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="request",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="trading.orderrequest",
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.UniqueConstraint(
                condition=models.Q(("request__isnull", False)),
                fields=("request", "role"),
                name="one_order_per_request_and_role",
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("role", "entry"),
                    (
                        "state__in",
                        (
                            "DRAFT",
                            "PENDING_APPROVAL",
                            "APPROVED",
                            "SENDING",
                            "SUBMITTED",
                            "ACCEPTED",
                            "PARTIALLY_FILLED",
                            "UNKNOWN",
                        ),
                    ),
                    ("strategy__isnull", True),
                ),
                fields=("account", "instrument"),
                name="one_live_entry_of_the_desk",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderrequest",
            constraint=models.UniqueConstraint(fields=("client", "idempotency_key"), name="request_once"),
        ),
        migrations.AddIndex(
            model_name="orderrequest",
            index=models.Index(
                condition=models.Q(("state", "RECEIVED")), fields=["created_at"], name="request_waiting"
            ),
        ),
    ]
