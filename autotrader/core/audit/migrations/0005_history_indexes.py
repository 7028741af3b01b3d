"""The log is listed by account, by actor and by time, the newest first, however long it is."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_notify")]
    operations = [
        migrations.AddIndex("event", models.Index(fields=["account", "seq"], name="audit_event_account")),
        migrations.AddIndex("event", models.Index(fields=["actor", "seq"], name="audit_event_actor")),
        migrations.AddIndex("event", models.Index(fields=["at", "seq"], name="audit_event_at")),
    ]
