from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("broker", "0001_broker_tables"),
    ]

    operations = [
        migrations.AddField(
            model_name="halt",
            name="cancel",
            field=models.CharField(
                blank=True,
                choices=[("entries", "Entries"), ("all", "All")],
                help_text="What this halt cancels; goes on after a restart until confirmed.",
                max_length=7,
            ),
        ),
        migrations.AddField(
            model_name="halt",
            name="cancelled_at",
            field=models.DateTimeField(blank=True, help_text="When that was confirmed.", null=True),
        ),
        migrations.AddField(
            model_name="halt",
            name="asked",
            field=models.PositiveIntegerField(blank=True, help_text="Orders that were asked to end.", null=True),
        ),
        migrations.AddField(
            model_name="halt",
            name="confirmed",
            field=models.PositiveIntegerField(blank=True, help_text="Of them, those that work no longer.", null=True),
        ),
        migrations.AddField(
            model_name="halt",
            name="working",
            field=models.JSONField(blank=True, default=list, help_text="Those whose end is not proven."),
        ),
    ]
