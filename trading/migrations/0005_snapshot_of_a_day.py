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
        migrations.AddField(
            model_name="accountsnapshot",
            name="day_base",
            field=models.DecimalField(
                decimal_places=4,
                help_text="Net liquidation that the day's loss is measured from.",
                max_digits=15,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="accountsnapshot",
            name="peak",
            field=models.DecimalField(
                decimal_places=4,
                help_text="Highest net liquidation, which drawdown is measured from.",
                max_digits=15,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="accountsnapshot",
            name="flow",
            field=models.DecimalField(
                decimal_places=4,
                default=0,
                help_text="Money that came or went while nothing was held; no gain and no loss.",
                max_digits=15,
            ),
        ),
        migrations.AddField(
            model_name="accountsnapshot",
            name="limit_reached",
            field=models.CharField(
                blank=True,
                choices=[("REDUCING", "Reducing"), ("HALTED", "Halted")],
                help_text="The level of loss that was acted on at this snapshot.",
                max_length=8,
            ),
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
