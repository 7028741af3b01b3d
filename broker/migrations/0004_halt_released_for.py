from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("broker", "0003_message_aside"),
    ]

    operations = [
        migrations.AddField(
            model_name="halt",
            name="released_for",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The broker it was released for last: another real one stays HALTED.",
                max_length=10,
            ),
            preserve_default=False,
        ),
    ]
