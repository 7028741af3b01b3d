"""Where the seeded prices of every market begin."""

from __future__ import annotations

from ..prices.seeded_path import Start
from . import futures
from .fixed import FIXED
from .listings import LISTED

_STARTS = {entry.spec.market: entry.start for entry in FIXED} | {listing.symbol: listing.start for listing in LISTED}


def seeded_start(market: str) -> Start | None:
    """Where the seeded path of a market begins; None for any market without one, options among them."""
    return _STARTS.get(market) or futures.start(market)
