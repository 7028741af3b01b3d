"""The form of what has versions: it saves only over the version that its reader saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm


class VersionedForm(ModelForm):
    """Refuses to save over a version that its reader never saw; the page carries the one it shows."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.instance.pk and self.data.get("seen_version") != str(self.instance.version):
            raise forms.ValidationError(
                f"Version {self.instance.version} was saved meanwhile. Compare, then save again to replace it."
            )
        return cleaned
