"""Store and read artifacts; storing the same bytes twice yields the same row."""

from __future__ import annotations

import hashlib

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from autotrader.core.artifacts.models import Artifact
from autotrader.core.clock import system_now


def artifact_store(*, kind: str, data: bytes, media_type: str) -> Artifact:
    """Keep `data`; the file is written before its row. Call it outside transactions: storage may be a network away."""
    digest = hashlib.sha256(data).hexdigest()
    found = Artifact.objects.filter(sha256=digest, kind=kind).first()
    if found and default_storage.exists(found.path):
        return found
    path = found.path if found else f"artifacts/{kind}/{digest[:2]}/{digest}"
    if not default_storage.exists(path):
        path = default_storage.save(path, ContentFile(data))
    row, _ = Artifact.objects.get_or_create(
        sha256=digest,
        kind=kind,
        defaults={"media_type": media_type, "size": len(data), "path": path, "created_at": system_now()},
    )
    return row


def artifact_read(artifact: Artifact) -> bytes:
    """The stored bytes."""
    with default_storage.open(artifact.path, "rb") as handle:
        data: bytes = handle.read()
    return data
