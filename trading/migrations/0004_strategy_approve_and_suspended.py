from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0003_risk_profile_version"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="strategy",
            options={
                "ordering": ["name"],
                "permissions": [
                    ("run_cycle", "Can run a cycle now"),
                    ("resume_strategy", "Can resume a suspended strategy"),
                ],
                "verbose_name_plural": "strategies",
            },
        ),
        migrations.AddField(
            model_name="strategy",
            name="suspended_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="strategy",
            name="suspended_reason",
            field=models.TextField(
                blank=True,
                editable=False,
                help_text="Why a control stopped new entries until a person resumes the strategy.",
            ),
        ),
        migrations.AddField(
            model_name="strategy",
            name="resumed_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When a person resumed it; the entries of the day are counted from then.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="strategy",
            name="mode",
            field=models.CharField(
                choices=[
                    ("auto", "Auto: send to the broker"),
                    ("approve", "Approve: send what a person has approved"),
                    ("shadow", "Shadow: fill on live quotes in a ledger of its own"),
                ],
                default="auto",
                max_length=10,
            ),
        ),
    ]
