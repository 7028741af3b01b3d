from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0011_discrepancy"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["account", "state"], name="order_account_state"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["account", "market_at"], name="order_account_market"),
        ),
        migrations.AddIndex(
            model_name="fill",
            index=models.Index(fields=["account", "time"], name="fill_account_time"),
        ),
    ]
