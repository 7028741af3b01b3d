from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0004_strategy_approve_and_suspended"),
    ]

    operations = [
        migrations.AddField(
            model_name="accountsnapshot",
            name="day",
            field=models.DateField(blank=True, help_text="The exchange's day it belongs to.", null=True),
        ),
        migrations.AlterField(
            model_name="accountsnapshot",
            name="cause",
            field=models.CharField(
                choices=[("cycle", "Cycle"), ("fill", "Fill"), ("close", "Close"), ("watch", "Watch")], max_length=10
            ),
        ),
        migrations.AddIndex(
            model_name="accountsnapshot",
            index=models.Index(fields=["account", "day"], name="snapshot_account_day"),
        ),
        migrations.AddConstraint(
            model_name="accountsnapshot",
            constraint=models.UniqueConstraint(
                condition=models.Q(("cause", "close")), fields=("account", "day"), name="one_close_a_day"
            ),
        ),
    ]
