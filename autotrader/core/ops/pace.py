"""One factor for every lease, time-out and pause, so that a test of crashes need not wait as long as life does."""

from __future__ import annotations

import os


def factor() -> float:
    """1 in life; the settings refuse any other with a real broker."""
    return float(os.environ.get("AUTOTRADER_TIME_FACTOR", "1"))


def paced(seconds: float) -> float:
    """These seconds, by the factor."""
    return seconds * factor()
