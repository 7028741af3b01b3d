"""Warnings about connections: the first few of a second as they come, of the others how many there were."""

from __future__ import annotations

import logging
from collections.abc import Callable

MOST_A_SECOND = 3

logger = logging.getLogger(__name__)


class Complaints:
    """`later` calls a function after so many real seconds."""

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._later = later
        self._count = 0

    def warn(self, text: str, *arguments: object) -> None:
        """Log it, or count it where there were enough in this second."""
        if self._count == 0:
            self._later(1.0, self._sum_up)
        self._count += 1
        if self._count <= MOST_A_SECOND:
            logger.warning(text, *arguments)

    def _sum_up(self) -> None:
        more, self._count = self._count - MOST_A_SECOND, 0
        if more > 0:
            logger.warning("%s more warnings about connections in one second", more)
