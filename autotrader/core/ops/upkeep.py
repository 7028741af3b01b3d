"""What would otherwise fill the disk: large logs are moved aside, and the figures of ended processes added up."""

from __future__ import annotations

import logging
from pathlib import Path

from django.conf import settings

from autotrader.core.ops import value_files
from autotrader.core.ops.log_files import log_folder, rotate
from autotrader.core.ops.single import AlreadyRunning, only_copy

logger = logging.getLogger(__name__)


def tidy() -> None:
    """One process of the state folder at a time. What fails is logged: no work waits for it, nor ends with it."""
    try:
        with only_copy(Path(settings.AUTOTRADER_STATE_DIR) / "upkeep.lock"):
            if (folder := log_folder(settings.LOGGING)) is not None:
                rotate(folder)
            value_files.fold()
    except AlreadyRunning:
        return
    except value_files.BROKEN as error:
        logger.warning("logs and figures were not tidied up: %s", error)
