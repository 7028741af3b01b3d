"""Forms that pages and the admin share: whoever ends an order says why, once."""

from __future__ import annotations

from django import forms

SHORTEST_REASON, LONGEST_REASON = 3, 500


class CancelForm(forms.Form):
    """Why; `key` makes a second press of the button the same request."""

    reason = forms.CharField(
        min_length=SHORTEST_REASON,
        max_length=LONGEST_REASON,
        help_text="Kept in the audit log with your name.",
        widget=forms.TextInput(attrs={"class": "desk-input", "autofocus": True, "autocomplete": "off"}),
    )
    key = forms.UUIDField(widget=forms.HiddenInput())


class StopCancelForm(CancelForm):
    """A stop protects a position: to take it away must be said outright."""

    force = forms.BooleanField(
        required=False,
        label="Leave the position without its stop",
        help_text="Needs the permission to remove protection.",
    )
    field_order = ("force", "reason")
