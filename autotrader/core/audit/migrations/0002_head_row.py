"""The single row of the head."""

from django.db import migrations


def create_head(apps, schema_editor):
    apps.get_model("audit", "AuditHead").objects.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_event_log")]
    operations = [migrations.RunPython(create_head, migrations.RunPython.noop)]
