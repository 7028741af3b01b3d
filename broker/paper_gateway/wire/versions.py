"""Which protocol versions the gateway speaks, and the ones at which a layout or a unit changes."""

from __future__ import annotations

import re

MIN_VERSION = 157
MAX_VERSION = 176

# Clients disagree on what 158 means for openOrder, so it is never agreed on when 157 is possible.
CONTESTED_VERSION = 158

DURATION = 158
SHARES_NOT_LOTS = 159
POST_TO_ATS = 160
AUTO_CANCEL_PARENT = 162
FRACTIONAL_SIZES = 163
SIZE_INCREMENTS = 164
ADVANCED_REJECT = 166
MANUAL_ORDER_TIME = 169
PEG_BEST_FIELDS = 170
EVENT_FILTERS = 171
EVENT_DATES = 173
HISTORY_IN_SHARES = 175
ISSUER_ID = 176

_OFFER = re.compile(r"v(\d{1,5})(?:\.\.(\d{1,5}))?(?: .*)?", re.ASCII | re.DOTALL)


def agree(offer: str) -> int | None:
    """The version to speak with a client that offers `v157..176 [options]`, or None when there is none in common."""
    match = _OFFER.fullmatch(offer)
    if match is None:
        return None
    lowest = int(match[1])
    highest = int(match[2] or match[1])
    version = min(MAX_VERSION, highest)
    if version == CONTESTED_VERSION and lowest <= MIN_VERSION:
        version = MIN_VERSION
    return version if version >= max(MIN_VERSION, lowest) else None
