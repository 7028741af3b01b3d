"""Bars as artifacts, and the faults that make them unusable."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from autotrader.core.artifacts.models import Artifact
from autotrader.core.artifacts.services import artifact_read, artifact_store
from broker.types import Bars

ARRAYS = ("time", "open", "high", "low", "close", "volume")
# A regular share halving or more overnight without a known split is rarer than a data fault; 7:1 and 4:1 splits and
# worse all exceed it.
LARGEST_GAP = 0.35


@dataclass(frozen=True, slots=True)
class Fault:
    """Why bars cannot be analysed: a stable code and a sentence."""

    code: str
    detail: str


def bars_fault(bars: Bars, least: int) -> Fault | None:
    """The first fault: too few, not finite, negative, inconsistent, out of order, or an unexplained gap."""
    count = len(bars.close)
    if count < least:
        return Fault("too_few_bars", f"{count} bars, at least {least} are needed")
    prices = np.stack([bars.open, bars.high, bars.low, bars.close])
    bad = ~np.isfinite(prices).all(axis=0) | (prices <= 0).any(axis=0) | ~(bars.volume >= 0)
    bad |= (bars.high < prices.max(axis=0)) | (bars.low > prices.min(axis=0))
    if bad.any():
        return Fault(
            "bad_bars", f"the bar of {bars.time[int(bad.argmax())]} has a missing, negative or impossible price"
        )
    if (np.diff(bars.time.astype("datetime64[s]")).astype(np.int64) <= 0).any():
        return Fault("bad_bars", "the bars are not in order of time")
    gap = np.abs(bars.open[1:] / bars.close[:-1] - 1)
    if gap.size and gap.max() > LARGEST_GAP:
        where = int(gap.argmax()) + 1
        return Fault("data_gap", f"an unexplained gap of {gap.max():.0%} before {bars.time[where]}")
    return None


def bars_store(bars: Bars) -> Artifact:
    """Keep bars by content; the same bars are the same artifact."""
    buffer = io.BytesIO()
    facts = {
        "con_id": bars.con_id,
        "symbol": bars.symbol,
        "bar_size": bars.bar_size,
        "period": bars.period,
        "as_of": bars.as_of.isoformat(),
        "source": bars.source,
    }
    arrays = {name: getattr(bars, name) for name in ARRAYS}
    arrays["time"] = bars.time.astype("datetime64[s]").astype(np.int64)
    np.savez(buffer, facts=np.frombuffer(json.dumps(facts, sort_keys=True).encode(), dtype=np.uint8), **arrays)
    return artifact_store(kind="bars", data=buffer.getvalue(), media_type="application/x-npz")


def bars_load(artifact: Artifact) -> Bars:
    """The bars as they were stored."""
    with np.load(io.BytesIO(artifact_read(artifact)), allow_pickle=False) as stored:
        facts = json.loads(stored["facts"].tobytes())
        arrays = {name: stored[name] for name in ARRAYS}
    arrays["time"] = arrays["time"].astype("datetime64[s]")
    facts["as_of"] = datetime.fromisoformat(facts["as_of"])
    return Bars(**facts, **arrays)
