"""People and groups in the admin, in the style of the rest."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from autotrader.core.admin_kit import HistoryAdmin, StyledAdmin, link
from autotrader.core.users.key_ring import forget_keys_of
from autotrader.core.users.models import KnownAddress, User

admin.site.unregister(Group)

TOLD = {
    "is_active": "Off: nobody comes in by this account from the next request on, by its API keys within five seconds.",
    "is_staff": "Opens the door of this admin and nothing behind it: what a person may do comes from the groups.",
    "is_superuser": "May do everything, whatever the groups say; the role administrator is for daily work.",
    "groups": "The roles of this person; docs/permissions.md says what each may do.",
}


@admin.register(User)
class UserAdmin(DjangoUserAdmin, StyledAdmin):  # type: ignore[type-arg]
    """A person: name, groups and permissions."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "roles", "is_active", "is_staff", "is_superuser", "last_login")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related(Prefetch("groups", Group.objects.order_by("name")))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in TOLD:
            field.help_text = TOLD[db_field.name]
        return field

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        forget_keys_of(obj)

    @admin.display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "none"


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, StyledAdmin):
    """A named set of permissions."""


@admin.register(KnownAddress)
class KnownAddressAdmin(HistoryAdmin):
    """From where people logged in: wrong passwords from elsewhere do not lock them out there."""

    list_display = ("address", "person", "first_at", "last_at")
    list_select_related = ("user",)
    search_fields = ("address", "user__username")

    @admin.display(description="Person", ordering="user__username")
    def person(self, row: KnownAddress) -> SafeString:
        return link(row.user)
