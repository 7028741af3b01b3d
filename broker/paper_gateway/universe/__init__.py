"""The contracts that exist at this gateway, and where their seeded prices begin."""

from __future__ import annotations

from .finder import Universe
from .ids import derived_con_id
from .listings import LISTED, LISTED_BY_SYMBOL, Listing
from .starts import seeded_start

__all__ = ["LISTED", "LISTED_BY_SYMBOL", "Listing", "Universe", "derived_con_id", "seeded_start"]
