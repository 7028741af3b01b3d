"""Standing requests for reference data: scans of the market, and the event calendar."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.paper_gateway.reference.scans import Find, ScanQuery


@dataclass(slots=True)
class Scan:
    """A scan that is told again when it changes; `sent` is what was told last, None before the first answer."""

    query: ScanQuery
    sent: tuple[Find, ...] | None = None


@dataclass(slots=True)
class Enquiries:
    """What one client asked; the event calendar takes one request of each kind at a time."""

    scans: dict[int, Scan] = field(default_factory=dict)
    event_kinds: int | None = None
    event_data: int | None = None
    knows_event_kinds: bool = False
