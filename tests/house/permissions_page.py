"""The tables of docs/permissions.md and tests/house/permissions/roles.txt, made from the roles of a fresh database.

`python -m tests.house.permissions_page` writes both.
"""

from __future__ import annotations

from pathlib import Path

from tests.house.matrix import FOLDER, prepare

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "permissions.md"
LIST = FOLDER / "roles.txt"
BEGIN, END = "<!-- roles: made by tests/house/permissions_page.py -->", "<!-- end of roles -->"
ORDER = ("viewer", "operator", "approver", "risk manager", "administrator")
OURS = {"trading", "broker", "research", "audit", "artifacts", "rest", "users", "auth", "django_q"}
LIST_HEAD = "# What each role may do, as the migrations make it. Reviewed: a line more is a right more.\n"


def rendered(page: str) -> str:
    """The page with its table as the roles are now."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}{END}{rest.partition(END)[2]}"


def listed() -> str:
    """Each role with its permissions, one a line; the administrator's as what the others lack."""
    rights = roles()
    viewer = rights["viewer"]
    parts = [LIST_HEAD]
    for name in ORDER:
        lines = sorted(rights[name] - viewer) if name != "viewer" else sorted(viewer)
        note = "" if name == "viewer" else " (beside what a viewer sees)"
        parts.append(f"\n{name}{note}\n" + "".join(f"    {line}\n" for line in lines))
    return "".join(parts)


def table() -> str:
    """One row a right that some role but the administrator has; all views of the desk are one row."""
    from django.contrib.auth.models import Permission

    rights = roles()
    titles = {_name(row): row.name for row in Permission.objects.select_related("content_type")}
    duties = sorted({right for name in ORDER[:-1] for right in rights[name] - rights["viewer"]}, key=_by_kind)
    lines = ["| right | permission | " + " | ".join(ORDER) + " |\n", "|---|---|" + ":-:|" * len(ORDER) + "\n"]
    lines.append("| See everything of the desk | `view_…` | " + " | ".join("✓" for _ in ORDER) + " |\n")
    for right in duties:
        ticks = ["✓" if right in rights[name] else "" for name in ORDER]
        lines.append(f"| {titles[right]} | `{right}` | " + " | ".join(ticks) + " |\n")
    lines.append("| Everything else, also users, groups and API keys | the rest | " + " | ".join(["", "", "", "", "✓"]))
    return "".join([*lines, " |\n"])


def roles() -> dict[str, set[str]]:
    """What each role may do: "app.codename"."""
    from django.contrib.auth.models import Group

    return {
        group.name: {_name(row) for row in group.permissions.select_related("content_type")}
        for group in Group.objects.filter(name__in=ORDER)
    }


def ours() -> set[str]:
    """Every permission there is of what this site shows."""
    from django.contrib.auth.models import Permission

    rows = Permission.objects.filter(content_type__app_label__in=OURS).select_related("content_type")
    return {_name(row) for row in rows}


def _name(permission: object) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"  # type: ignore[attr-defined]


def _by_kind(right: str) -> tuple[bool, str]:
    return right.split(".")[1].startswith(("add_", "change_")), right


if __name__ == "__main__":
    prepare()
    PAGE.write_text(rendered(PAGE.read_text()))
    LIST.write_text(listed())
