import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0006_order_request"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="riskverdict",
            options={"ordering": ["id"]},
        ),
        migrations.AlterField(
            model_name="riskverdict",
            name="decision",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="verdicts",
                to="trading.decision",
            ),
        ),
        migrations.AddField(
            model_name="riskverdict",
            name="request",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="verdicts",
                to="trading.orderrequest",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskverdict",
            constraint=models.UniqueConstraint(fields=("request", "rule"), name="verdict_of_request_once"),
        ),
        migrations.AddConstraint(
            model_name="riskverdict",
            constraint=models.CheckConstraint(
                condition=models.Q(("decision__isnull", True), ("request__isnull", True), _connector="XOR"),
                name="verdict_of_one",
            ),
        ),
    ]
