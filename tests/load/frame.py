"""What every load run shares: a figure with its bound, and percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number; `most` is the bound, None where it is only told."""

    name: str
    value: float
    unit: str
    most: float | None = None

    @property
    def ok(self) -> bool:
        """True where the bound holds."""
        return self.most is None or self.value <= self.most

    def line(self) -> str:
        """One row of the table."""
        bound = "" if self.most is None else f"<= {self.most:g} {self.unit}"
        verdict = "" if self.most is None else "ok" if self.ok else "MISSED"
        return f"  {self.name:<58}{self.value:>12,.1f} {self.unit:<6}{bound:>16}  {verdict}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
