import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0002_risk_profile_limits"),
    ]

    operations = [
        migrations.CreateModel(
            name="RiskProfileVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("values", models.JSONField()),
                ("changed", models.JSONField(default=dict, help_text="Field: [before, after].")),
                ("actor", models.CharField(max_length=80)),
                ("at", models.DateTimeField()),
            ],
            options={
                "ordering": ["profile", "-number"],
            },
        ),
        migrations.AddField(
            model_name="riskprofileversion",
            name="profile",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="trading.riskprofile"
            ),
        ),
        migrations.AddConstraint(
            model_name="riskprofileversion",
            constraint=models.UniqueConstraint(fields=("profile", "number"), name="risk_profile_version_once"),
        ),
    ]
