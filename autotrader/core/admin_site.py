"""The admin site: the styled one, whose own password page looks at old passwords behind the limits of logins."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.sites import UnfoldAdminSite

from autotrader.core.clock import system_now
from autotrader.core.users import logins


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]
    """A new password for oneself, who gives the old one; whoever finds a session open cannot guess it here."""

    def clean_old_password(self) -> str:
        username = self.user.get_username()
        guess = logins.Guess(logins.name_digest(username), f"session:{self.user.pk}", is_known=True, is_own=True)
        claimed = logins.claim(guess, system_now())
        try:
            old: str = super().clean_old_password()
        except forms.ValidationError:
            logins.failed(claimed, username, system_now())
            raise
        logins.succeeded(claimed, self.user, "", system_now())
        return old


class DeskAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    """Unfold's site with that form."""

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
            template_name=self.password_change_template or "registration/password_change_form.html",
        )
        return view(request)
