import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0008_order_change_kinds"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(help_text="SHA-256 of `terms`.", max_length=64)),
                (
                    "terms",
                    models.JSONField(help_text="account, con_id, legs (side, quantity, type, prices) and expiry."),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("PENDING", "Pending"),
                            ("APPROVED", "Approved"),
                            ("USED", "Used"),
                            ("REJECTED", "Rejected"),
                            ("EXPIRED", "Expired"),
                            ("VOID", "Void"),
                        ],
                        default="PENDING",
                        max_length=8,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("cause", models.CharField(help_text="mode, value …", max_length=40)),
                ("needed", models.PositiveSmallIntegerField(default=1, help_text="How many persons must say yes.")),
                (
                    "value",
                    models.DecimalField(
                        decimal_places=4, help_text="Quantity at the limit, base currency.", max_digits=15
                    ),
                ),
                ("quantity", models.DecimalField(decimal_places=6, max_digits=15)),
                (
                    "price",
                    models.DecimalField(
                        decimal_places=6,
                        help_text="The market price it was asked at; drift beyond the collar voids it.",
                        max_digits=15,
                    ),
                ),
                ("reward_ratio", models.DecimalField(decimal_places=6, max_digits=15, null=True)),
                ("rationale", models.TextField(blank=True)),
                (
                    "what_if",
                    models.JSONField(
                        default=dict, help_text="The broker's margins and commission, or why it gave none."
                    ),
                ),
                ("requested_by", models.CharField(max_length=80)),
                ("requested_at", models.DateTimeField()),
                ("market_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [("approve_order", "Can approve and reject orders")],
            },
        ),
        migrations.CreateModel(
            name="ApprovalVote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("approve", models.BooleanField()),
                ("digest", models.CharField(help_text="What this person was shown.", max_length=64)),
                ("reason", models.TextField(blank=True)),
                ("at", models.DateTimeField()),
                ("market_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddField(
            model_name="approval",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="approvals", to="trading.account"
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="decision",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="approval",
                to="trading.decision",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="instrument",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="trading.instrument"
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="order",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="approval",
                to="trading.order",
            ),
        ),
        migrations.AddField(
            model_name="approvalvote",
            name="approval",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="votes", to="trading.approval"
            ),
        ),
        migrations.AddField(
            model_name="approvalvote",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="request",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="approval",
                to="trading.orderrequest",
            ),
        ),
        migrations.AddConstraint(
            model_name="approvalvote",
            constraint=models.UniqueConstraint(fields=("approval", "user"), name="one_vote_a_person"),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(fields=["state", "expires_at"], name="approval_open"),
        ),
    ]
