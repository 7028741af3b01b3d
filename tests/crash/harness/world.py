"""What is known of a cell at its end: the gateway's truth and frames, our rows, and what others saw of us."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db.models import Model

from autotrader.core.clock import system_now
from broker.models import Submission
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.orders_in import read_order
from trading.models import Approval, Discrepancy, Dispatch, Fill, Order, OrderChange, Trade

CLIENT_VERSION = 176
# The rows that a second recovery must leave as they are, and what of them may change: when they were seen.
KEPT: tuple[type[Model], ...] = (Order, OrderChange, Fill, Trade, Submission, Approval, Dispatch, Discrepancy)
SEEN_TIMES = frozenset({"last_seen_at"})
Rows = Mapping[str, Mapping[str, Any]]  # by "table:key", each by its columns


@dataclass(frozen=True, slots=True)
class Frame:
    """An order frame that reached the gateway: `at` by the system's clock, `order_id` theirs, `ref` ours."""

    name: str
    at: datetime
    client: int
    order_id: int
    terms: Mapping[str, str]

    @property
    def ref(self) -> str:
        """Our reference; empty for what is not ours."""
        return self.terms.get("order_ref", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told for its key: the same key with the same body must be told the same again."""

    client: str
    key: str
    body_hash: str
    told: str


@dataclass(frozen=True, slots=True)
class World:
    """All that is known at the end of a cell.

    `truth` is the gateway's ledger command, `cash_start` its cash before the first order, `seen` every seq the live
    reader wrote down in its order, `factor` the pace, `before` the rows (see `rows`) before recovery was run once more,
    `provider_calls` how many questions reached the model's provider, None where that is not known, `owner_stopped`
    whether the owner was stopped and woken: nothing keeps it from writing what it has last looked at before,
    `halted_at` when the file that halts was seen to be there.
    """

    truth: Mapping[str, Any]
    frames: Sequence[Frame]
    cash_start: Decimal
    seen: Sequence[int] | None
    now: datetime = field(default_factory=system_now)
    factor: float = 1.0
    before: Rows | None = None
    answers: Sequence[Answer] = ()
    provider_calls: int | None = None
    owner_stopped: bool = False
    halted_at: datetime | None = None

    @property
    def account(self) -> str:
        """The gateway's account."""
        return str(self.truth["account"])

    @property
    def orders(self) -> Mapping[str, Mapping[str, Any]]:
        """The gateway's orders by perm id."""
        return self.truth["orders"]  # type: ignore[no-any-return]

    def places(self) -> dict[str, list[Frame]]:
        """The placeOrder frames by our reference, in the order of their coming."""
        found: defaultdict[str, list[Frame]] = defaultdict(list)
        for frame in self.frames:
            if frame.name == "placeOrder" and frame.terms.get("what_if", "0") != "1":
                found[frame.ref].append(frame)
        return dict(found)


def frames_of(log: Path) -> list[Frame]:
    """The frames of the gateway's log; a line that a kill cut off is left out."""
    return [frame_of(row) for row in _lines(log)]


def _lines(log: Path) -> Iterable[Mapping[str, Any]]:
    for line in log.read_text().split("\n") if log.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def frame_of(row: Mapping[str, Any]) -> Frame:
    """A line of the gateway's log of frames: `at` in Unix seconds, `client`, `name`, `fields`."""
    fields: list[str] = row["fields"]
    terms: dict[str, str] = {}
    if row["name"] == "placeOrder":
        terms = read_order(FieldReader(fields[2:]), CLIENT_VERSION)
    order_id = int(fields[1 if row["name"] == "placeOrder" else 2]) if len(fields) > 2 else 0
    return Frame(row["name"], datetime.fromtimestamp(row["at"], UTC), row["client"] or 0, order_id, terms)


def rows() -> Rows:
    """Our rows as they stand, by table and key."""
    found: dict[str, Mapping[str, Any]] = {}
    for model in KEPT:
        names = [column.attname for column in model._meta.concrete_fields if column.attname not in SEEN_TIMES]
        for values in model._default_manager.order_by("pk").values(*names):
            found[f"{model._meta.model_name}:{values[names[0]]}"] = values
    return found
