"""The roles of the desk, as groups: what each may do is written here and in docs/permissions.md."""

from __future__ import annotations

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

DESK = ("trading", "broker", "research", "audit", "artifacts")
HOUSE = (*DESK, "rest", "users", "auth", "django_q")
# Beside what a viewer may see.
DUTIES = {
    "viewer": (),
    "operator": (
        "trading.run_cycle",
        "trading.request_order",
        "trading.add_strategy",
        "trading.change_strategy",
        "trading.add_instrument",
        "trading.change_instrument",
        "trading.halt_trading",
        "trading.resolve_discrepancy",
    ),
    "approver": ("trading.approve_order",),
    "risk manager": (
        "trading.add_riskprofile",
        "trading.change_riskprofile",
        "trading.halt_trading",
        "trading.release_trading",
        "trading.resume_strategy",
        "trading.remove_protection",
    ),
}
EVERYTHING = "administrator"


def make(apps: Any, schema_editor: Any) -> None:
    """Make the groups that are missing; a group of that name which people made stays as it is."""
    _make_permissions(apps)
    group = apps.get_model("auth", "Group")
    for name in (*DUTIES, EVERYTHING):
        made, is_new = group.objects.get_or_create(name=name)
        if is_new:
            made.permissions.set(_permissions(apps, name))


def remove(apps: Any, schema_editor: Any) -> None:
    """Remove the groups that nobody is in and nobody changed."""
    group = apps.get_model("auth", "Group")
    for row in group.objects.filter(name__in=(*DUTIES, EVERYTHING), user=None):
        if set(row.permissions.values_list("pk", flat=True)) == {found.pk for found in _permissions(apps, row.name)}:
            row.delete()


def _make_permissions(apps: Any) -> None:
    """On a fresh database the rows would come only after the last migration."""
    for label in HOUSE:
        create_permissions(installed.get_app_config(label), verbosity=0, apps=apps)


def _permissions(apps: Any, role: str) -> list[Any]:
    permissions = apps.get_model("auth", "Permission").objects.select_related("content_type")
    if role == EVERYTHING:
        return list(permissions.filter(content_type__app_label__in=HOUSE))
    found = {
        f"{row.content_type.app_label}.{row.codename}": row
        for row in permissions.filter(content_type__app_label__in=DESK)
    }
    seen = [row for name, row in found.items() if name.split(".")[1].startswith("view_")]
    return [*seen, *(found[name] for name in DUTIES[role])]


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0013_cycle_api_and_cancelled"),
        ("broker", "0004_halt_released_for"),
        ("research", "0001_model_calls"),
        ("audit", "0003_append_only"),
        ("artifacts", "0001_artifact"),
        ("rest", "0001_kept_answers"),
        ("users", "0003_logins"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [migrations.RunPython(make, remove)]
