"""API keys: made with real choices of accounts and strategies, shown once, changed and revoked through services."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import DeskAdmin, change_url, link
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from autotrader.core.formats import badge, instant
from autotrader.core.users.keys import (
    ACTIVE,
    DISABLED,
    EXPIRED,
    REVOKED,
    Terms,
    default_expiry,
    key_change,
    key_check,
    key_create,
    key_revoke,
    live_keys,
    state_of,
)
from autotrader.core.users.models import ApiKey, Scope, User
from trading.admin.versioned import VersionedForm
from trading.models import Account, Strategy

CHANGE_PERMISSION = "users.change_apikey"
TONES = {ACTIVE: "ok", EXPIRED: "EXPIRED", REVOKED: "REFUSED", DISABLED: "REFUSED"}
UNLIMITED = "None chosen would open all of them to this key. Choose at least one, or make a new key without this limit."


def _accounts() -> list[tuple[Any, str]]:
    return [(row.pk, f"{row.pk} ({row.get_kind_display().lower()})") for row in Account.objects.all()]


def _strategies() -> list[tuple[Any, str]]:
    return list(Strategy.objects.values_list("pk", "name"))


def _gone(name: str, pk: Any) -> str:
    return f"strategy {pk} (deleted)" if name == "strategies" else f"{pk} (deleted)"


class KeyForm(VersionedForm):
    """What a key may do; `maker` is the person at the page."""

    maker: User
    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple)
    accounts = forms.MultipleChoiceField(
        required=False, help_text="None chosen: every account.", widget=forms.CheckboxSelectMultiple
    )
    strategies = forms.TypedMultipleChoiceField(
        coerce=int,
        required=False,
        help_text="None chosen: every strategy.",
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = ApiKey
        fields = ("name", "user", "scopes", "accounts", "strategies", "expires_at", "requests_per_minute")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, offered in (("accounts", _accounts()), ("strategies", _strategies())):
            # What is gone stays on offer: without its box the key would be saved without this limit.
            known = {str(pk) for pk, _ in offered}
            field: Any = self.fields[name]
            field.choices = [*offered, *((pk, _gone(name, pk)) for pk in self._limit(name) if str(pk) not in known)]

    def clean(self) -> dict[str, Any]:
        """Everything the service would refuse, told at its field; and a limit is not lifted by an empty list."""
        cleaned = super().clean()
        for name in ("accounts", "strategies"):
            if self._limit(name) and cleaned.get(name) == []:
                self.add_error(name, UNLIMITED)
        owner = cleaned.get("user") or (self.instance.user if self.instance.pk else None)
        if self.errors or owner is None:
            return cleaned
        try:
            key_check(self.terms(), user=owner, maker=self.maker)
        except AutoTraderError as error:
            field = error.details.get("field", "user")
            self.add_error(field if field in self.fields else None, error.message)
        return cleaned

    def _limit(self, name: str) -> list[Any]:
        """What the key is limited to as it is stored; empty for a new one."""
        return list(getattr(self.instance, name)) if self.instance.pk else []

    def terms(self) -> Terms:
        """What the valid form says."""
        said = self.cleaned_data
        lists = {name: tuple(said[name]) for name in ("scopes", "accounts", "strategies")}
        return Terms(
            name=said["name"],
            expires_at=said["expires_at"],
            requests_per_minute=said["requests_per_minute"],
            **lists,
        )


class StateFilter(admin.SimpleListFilter):
    """Keys that open something, and those that no longer do."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "Active"), ("ended", "Expired, revoked or disabled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        live = live_keys(system_now()).values("pk")
        if self.value() == "live":
            return queryset.filter(pk__in=live)
        return queryset.exclude(pk__in=live) if self.value() == "ended" else queryset


@admin.register(ApiKey)
class ApiKeyAdmin(DeskAdmin):
    """Keys of programs; the text of a key is seen by its maker alone, once."""

    form = KeyForm
    list_display = ("name", "shown", "owner", "status", "opens", "limited_to", "expires", "used", "used_from")
    list_filter = (StateFilter, "user")
    search_fields = ("name", "prefix", "user__username")
    list_select_related = ("user",)
    actions = ("revoke_chosen",)
    readonly_fields = ("shown", "made", "used", "used_from", "ended")
    terms_fields: tuple[Any, ...] = ("scopes", ("accounts", "strategies"), "expires_at", "requests_per_minute")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": (("name", "user"), *self.terms_fields)})]
        life = (("shown", "made"), ("used", "used_from"), "ended")
        # The head of the page tells scopes and limits in words; where nothing can be chosen rows would tell them raw.
        terms = self.terms_fields if self.has_change_permission(request, obj) else ("expires_at", "requests_per_minute")
        return [(None, {"fields": ("name", *terms)}), ("Its life", {"fields": life})]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:pk>/revoke/", view, name="users_apikey_revoke"), *super().get_urls()]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"maker": request.user})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"user": request.user.pk, "expires_at": default_expiry(system_now()), "scopes": [Scope.READ]}

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        _name_strategies(list(changelist.result_list))
        return changelist

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.revoked_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        person = cast("User", request.user)
        if change:
            key_change(obj, form.terms(), actor=person.get_username(), maker=person)
            return
        made, text = key_create(form.terms(), user=obj.user, actor=person.get_username(), maker=person)
        obj.__dict__.update(made.__dict__)
        request.made_key = text  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The page with the key: this answer is the only place where it ever stands."""
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": "Keep this key now",
            "key": obj,
            "text": request.made_key,  # type: ignore[attr-defined]
        }
        answer = TemplateResponse(request, "admin/users/apikey/shown_once.html", context)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # Whatever is pressed leads to the page that shows the key.
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **one_button})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        key = ApiKey.objects.select_related("user").filter(pk=object_id).first() if object_id.isdecimal() else None
        if key is None:
            return super().change_view(request, object_id, form_url, extra_context)
        _name_strategies([key])
        context = {"key": key, "state": self.status(key), "limits": self.limited_to(key), "opens": self.opens(key)}
        context["can_revoke"] = self.has_change_permission(request, key)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    @admin.action(description="Revoke", permissions=["change"])
    def revoke_chosen(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        """End the chosen keys for good."""
        for key in keys.filter(revoked_at=None):
            self._revoke(request, key)

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask once more, then revoke by POST."""
        key = get_object_or_404(ApiKey.objects.select_related("user"), pk=pk)
        if not request.user.has_perm(CHANGE_PERMISSION):
            raise PermissionDenied(f"This needs the permission {CHANGE_PERMISSION}.")
        if request.method == "POST":
            self._revoke(request, key)
            return HttpResponseRedirect(change_url(key))
        context: dict[str, Any] = {**self.admin_site.each_context(request), "title": f"Revoke {key.name}", "key": key}
        return TemplateResponse(request, "admin/users/apikey/revoke.html", context)

    def _revoke(self, request: HttpRequest, key: ApiKey) -> None:
        try:
            key_revoke(key, actor=request.user.get_username())
        except AutoTraderError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"The key {key} is revoked; within five seconds it opens nothing.")

    @admin.display(description="Key", ordering="prefix")
    def shown(self, key: ApiKey) -> SafeString:
        return format_html('<span class="desk-mono">at_{}_…</span>', key.prefix)

    @admin.display(description="Acts for", ordering="user__username")
    def owner(self, key: ApiKey) -> SafeString:
        return link(key.user)

    @admin.display(description="State")
    def status(self, key: ApiKey) -> SafeString:
        state = state_of(key, system_now())
        return badge(TONES[state], "owner disabled" if state == DISABLED else state.lower())

    @admin.display(description="Scopes")
    def opens(self, key: ApiKey) -> SafeString:
        return format_html_join(" ", "{}", ((badge("plain", scope),) for scope in key.scopes))

    @admin.display(description="Limited to")
    def limited_to(self, key: ApiKey) -> str:
        return ", ".join([*key.accounts, *getattr(key, "strategy_names", [])]) or "everything"

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> SafeString:
        return instant(key.expires_at)

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, key: ApiKey) -> SafeString | str:
        return instant(key.last_used_at) if key.last_used_at else "never"

    @admin.display(description="Last used from", ordering="last_used_from")
    def used_from(self, key: ApiKey) -> str:
        return key.last_used_from or "–"

    @admin.display(description="Made")
    def made(self, key: ApiKey) -> SafeString:
        return format_html("{} by {}", instant(key.created_at), key.created_by)

    @admin.display(description="Revoked")
    def ended(self, key: ApiKey) -> SafeString | str:
        return format_html("{} by {}", instant(key.revoked_at), key.revoked_by) if key.revoked_at else "no"


def _name_strategies(keys: list[ApiKey]) -> None:
    """One query for the names of all strategies that these keys are limited to."""
    names = dict(
        Strategy.objects.filter(pk__in={pk for key in keys for pk in key.strategies}).values_list("pk", "name")
    )
    for key in keys:
        key.strategy_names = [names.get(pk, _gone("strategies", pk)) for pk in key.strategies]  # type: ignore[attr-defined]
