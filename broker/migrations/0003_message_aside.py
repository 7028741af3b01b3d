from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("broker", "0002_halt_cancel"),
    ]

    operations = [
        migrations.AlterField(
            model_name="brokermessage",
            name="state",
            field=models.CharField(
                choices=[("APPLIED", "Applied"), ("ERROR", "Error"), ("ASIDE", "Aside")], max_length=7
            ),
        ),
    ]
