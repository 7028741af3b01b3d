import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0007_verdict_of_a_request"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="orderchange",
            name="order_change_once",
        ),
        migrations.AddField(
            model_name="orderchange",
            name="actor",
            field=models.CharField(blank=True, max_length=80),
        ),
        migrations.AddField(
            model_name="orderchange",
            name="kind",
            field=models.CharField(
                choices=[("modify", "Modify"), ("cancel", "Cancel")], default="modify", max_length=6
            ),
        ),
        migrations.AddField(
            model_name="orderchange",
            name="quantity",
            field=models.DecimalField(
                decimal_places=6, help_text="The new total, where that was changed.", max_digits=15, null=True
            ),
        ),
        migrations.AddField(
            model_name="orderchange",
            name="market_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="orderchange",
            name="revision",
            field=models.PositiveIntegerField(help_text="Of a modify from 1 on; 0 of a cancel."),
        ),
        migrations.AddField(
            model_name="orderchange",
            name="request",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="changes",
                to="trading.orderrequest",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderchange",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "modify")), fields=("order", "revision"), name="order_change_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="orderchange",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "cancel"), ("state__in", ["SENDING", "UNKNOWN"])),
                fields=("order",),
                name="one_open_cancel",
            ),
        ),
    ]
