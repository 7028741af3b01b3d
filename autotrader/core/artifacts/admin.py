"""Stored objects in the admin: what there is, and the bytes themselves."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from autotrader.core.admin_filters import NewestFilter
from autotrader.core.admin_lists import BigHistoryAdmin, by_field, by_number
from autotrader.core.artifacts.models import Artifact
from autotrader.core.artifacts.services import artifact_read
from autotrader.core.formats import instant, number

SHOWN_IN_PLACE = ("image/png", "image/jpeg")


@admin.register(Artifact)
class ArtifactAdmin(BigHistoryAdmin):
    """Artifacts, newest first; a file is opened as a picture or saved, never run as a page."""

    list_display = ("__str__", "kind", "media_type", "bytes", "when", "file")
    list_filter = (("kind", NewestFilter), ("media_type", NewestFilter))
    search_help_text = "SHA-256 or number"
    finders = (by_field("sha256"), by_number())
    readonly_fields = ("file",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.file_view, cacheable=True)
        return [path("<int:pk>/file/", view, name="artifacts_artifact_file"), *super().get_urls()]

    def file_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The bytes; pictures in place, everything else as a download that no browser interprets."""
        artifact = get_object_or_404(Artifact, pk=pk)
        if not self.has_view_permission(request, artifact):
            raise PermissionDenied
        shown = artifact.media_type in SHOWN_IN_PLACE
        name = f"{artifact.kind}-{artifact.sha256[:12]}"
        return HttpResponse(
            artifact_read(artifact),
            content_type=artifact.media_type if shown else "application/octet-stream",
            headers={
                "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{name}"',
                "Cache-Control": "private, max-age=31536000, immutable",
            },
        )

    @admin.display(description="Size", ordering="size")
    def bytes(self, artifact: Artifact) -> str:
        return f"{number(artifact.size)} B"

    @admin.display(description="Stored", ordering="created_at")
    def when(self, artifact: Artifact) -> SafeString:
        return instant(artifact.created_at)

    @admin.display(description="File")
    def file(self, artifact: Artifact) -> SafeString:
        url = reverse("admin:artifacts_artifact_file", args=[artifact.pk])
        return format_html('<a class="desk-link" href="{}">Open</a>', url)
