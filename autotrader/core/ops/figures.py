"""A figure: one number of the desk by its labels, as a room tells it to the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """`name` goes without prefix and suffix; `samples` by the labels' values. A counter only grows, a gauge moves."""

    name: str
    doc: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    samples: Mapping[tuple[Any, ...], int | float | Decimal]
