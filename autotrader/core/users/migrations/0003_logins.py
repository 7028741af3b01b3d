import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0002_api_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="LoginAttempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64)),
                (
                    "place",
                    models.CharField(help_text="An address, or the device or session counted instead.", max_length=60),
                ),
                ("is_known", models.BooleanField()),
                ("is_own", models.BooleanField()),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["name", "-at"], name="attempts_of_name"),
                    models.Index(fields=["place", "-at"], name="attempts_from_place"),
                ],
            },
        ),
        migrations.CreateModel(
            name="KnownAddress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.CharField(help_text="Of IPv6 the network of the line.", max_length=60)),
                ("first_at", models.DateTimeField(editable=False)),
                ("last_at", models.DateTimeField(editable=False)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="known_addresses",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "known addresses",
                "ordering": ["-last_at"],
                "constraints": [models.UniqueConstraint(fields=("user", "address"), name="address_known_once")],
            },
        ),
    ]
