"""What every load run shares: figures with their bounds, and percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

TIMES = ("ms", "s")


class Told(Protocol):
    """A row of the table."""

    @property
    def ok(self) -> bool:
        """True where its bound holds."""

    @property
    def is_late(self) -> bool:
        """True where it took too long, which a busy machine may have done; what was lost or doubled never is that."""

    def line(self) -> str:
        """The row."""


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

    @property
    def is_late(self) -> bool:
        """True where a time misses its bound."""
        return self.unit in TIMES and not self.ok

    def line(self) -> str:
        """One row of the table."""
        bound = "" if self.most is None else f"<= {self.most:g} {self.unit}"
        verdict = "" if self.most is None else "ok" if self.ok else "MISSED"
        return f"  {self.name:<58}{self.value:>12,.1f} {self.unit:<6}{bound:>16}  {verdict}"


@dataclass(frozen=True)
class Spread:
    """How long many of a kind took, in ms; `most` is the bound of 95 % of them, None where they are only told."""

    name: str
    values: Sequence[float]
    most: float | None = None

    @property
    def ok(self) -> bool:
        """False where nothing was measured, too."""
        return bool(self.values) and (self.most is None or percentile(self.values, 0.95) <= self.most)

    @property
    def is_late(self) -> bool:
        """True where times miss their bound; where nothing was measured they do not."""
        return bool(self.values) and not self.ok

    def line(self) -> str:
        """One row: the number of values, the median, 95 % and 99 %."""
        shares = [percentile(self.values, share) for share in (0.5, 0.95, 0.99)] if self.values else []
        told = "".join(f"{value:>8,.1f}" for value in shares) or "  nothing was measured"
        bound = "" if self.most is None else f"95 % <= {self.most:g} ms"
        verdict = "" if self.most is None else "ok" if self.ok else "MISSED"
        return f"  {self.name:<52}{len(self.values):>5}{told} ms {bound:>15}  {verdict}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
