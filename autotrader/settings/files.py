"""Secrets that the first run makes and keeps in the state folder."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from autotrader.core.errors import ConfigInvalid

logger = logging.getLogger(__name__)
OTHERS = 0o077


def make_folder(path: Path) -> None:
    """The state folder, made where it is missing; raises ConfigInvalid where nothing can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        writable = os.access(path, os.W_OK | os.X_OK)
    except OSError as error:
        raise ConfigInvalid(f"AUTOTRADER_STATE_DIR={path} cannot be made ({error.strerror}).") from error
    if not writable:
        raise ConfigInvalid(f"AUTOTRADER_STATE_DIR={path} cannot be written to.")


def secret_file(path: Path) -> str:
    """The secret kept in `path`; made at random with mode 0600 by whoever comes first, and shut where it stood open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        _shut(path)
        return _read_written(path)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_urlsafe(48))
    return _read_written(path)


def _shut(path: Path) -> None:
    """Others may have read it already, so a person is told."""
    mode = path.stat().st_mode
    if mode & OTHERS:
        path.chmod(mode & ~OTHERS)
        logger.warning("%s could be read by others; it cannot any more. Delete it to have a new secret made.", path)


def _read_written(path: Path) -> str:
    value = path.read_text().strip()
    # Another process may sit between creating and writing the file.
    for _ in range(1000):
        if value:
            return value
        os.sched_yield()
        value = path.read_text().strip()
    raise OSError(f"{path} is empty; delete it and start again")
