"""Orders, trades and decisions are listed by each of these columns, the newest first, however many there are."""

from django.db import migrations, models

INDEXES = (
    ("order", "account", "order_by_account"),
    ("order", "strategy", "order_by_strategy"),
    ("order", "instrument", "order_by_instrument"),
    ("order", "state", "order_by_state"),
    ("order", "role", "order_by_role"),
    ("order", "created_at", "order_by_time"),
    ("trade", "account", "trade_by_account"),
    ("trade", "strategy", "trade_by_strategy"),
    ("trade", "instrument", "trade_by_instrument"),
    ("trade", "state", "trade_by_state"),
    ("trade", "opened_at", "trade_by_time"),
    ("decision", "account", "decision_by_account"),
    ("decision", "strategy", "decision_by_strategy"),
    ("decision", "instrument", "decision_by_instrument"),
    ("decision", "state", "decision_by_state"),
    ("decision", "type", "decision_by_type"),
    ("decision", "at", "decision_by_time"),
)


class Migration(migrations.Migration):
    dependencies = [("trading", "0014_roles")]
    operations = [
        migrations.AddIndex(model, models.Index(fields=[column, "id"], name=name)) for model, column, name in INDEXES
    ]
