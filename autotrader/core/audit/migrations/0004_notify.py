"""PostgreSQL tells whoever listens that events were committed; SQLite has no such thing, and is looked at instead."""

from django.db import migrations

INSTALL = [
    """CREATE FUNCTION audit_notify() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
         PERFORM pg_notify('autotrader_events', NEW.seq::text);
         RETURN NULL;
       END $$""",
    """CREATE TRIGGER audit_head_notify AFTER UPDATE ON audit_audithead
       FOR EACH ROW WHEN (OLD.seq IS DISTINCT FROM NEW.seq) EXECUTE FUNCTION audit_notify()""",
]
REMOVE = ["DROP FUNCTION audit_notify() CASCADE"]


def _on_postgresql(statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_append_only")]
    operations = [migrations.RunPython(_on_postgresql(INSTALL), _on_postgresql(REMOVE))]
