"""What the broker said last of each order and fill: a connection tells all of it again, a book and a restart too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from broker import types

BOUND = 50_000
TIMELESS = datetime.min.replace(tzinfo=UTC)  # stands for a report's time where two are compared
Fact = types.OrderReport | types.ExecutionReport | types.CommissionReport


class Heard:
    """In the writer's thread only. What is known already changes nothing, so it need not be stored again."""

    def __init__(self, bound: int = BOUND) -> None:
        self._bound = bound
        self._last: OrderedDict[str, Fact] = OrderedDict()
        self._reports: dict[str, set[str]] = {}

    def is_known(self, event: types.BrokerEvent) -> bool:
        """True where this was the last thing that was booked of its order or fill."""
        if not isinstance(event, Fact):
            return False
        last, now = self._last.get(_key(event)), replace(event, time=TIMELESS)
        if (
            isinstance(now, types.ExecutionReport)
            and isinstance(last, types.ExecutionReport)
            and now.commission is None
        ):
            # Its cost is told a moment later, each time anew.
            now = replace(
                now,
                commission=last.commission,
                commission_currency=last.commission_currency,
                realized_pnl=last.realized_pnl,
            )
        return last == now

    def recall(self, booked: Iterable[tuple[types.BrokerEvent | None, bool]]) -> None:
        """At the start: the newest of what is on record, in the order in which it came, and whether it is certain.

        What was booked late may have been booked after what came later; what cannot be read (None) may be of anything.
        """
        late = []
        for event, certain in booked:
            if event is None:
                self._last.clear()
                self._reports.clear()
            elif certain:
                self.note(event)
            else:
                late.append(event)
        for event in late:
            self.forget(event)

    def note(self, event: types.BrokerEvent) -> None:
        """This was booked. Anything else that was said of an order makes its next report news."""
        if not isinstance(event, Fact):
            self.forget_order(getattr(event, "order_ref", ""))
            return
        key = _key(event)
        self._last[key] = replace(event, time=TIMELESS)
        self._last.move_to_end(key)
        if isinstance(event, types.OrderReport):
            self._reports.setdefault(event.order_ref, set()).add(key)
        if len(self._last) > self._bound:
            self._drop(next(iter(self._last)))

    def of(self, event: types.BrokerEvent) -> dict[str, Fact | None]:
        """What is known where `note` would write, for `restore`."""
        if isinstance(event, Fact):
            return {_key(event): self._last.get(_key(event))}
        return {key: self._last[key] for key in self._reports.get(getattr(event, "order_ref", ""), ())}

    def restore(self, known: Mapping[str, Fact | None]) -> None:
        """What was noted since was not booked."""
        for key, fact in known.items():
            if fact is None:
                self._drop(key)
            else:
                self.note(fact)

    def forget(self, event: types.BrokerEvent) -> None:
        """This waits to be booked: whatever is said of the same from here on is news."""
        if isinstance(event, Fact):
            self._drop(_key(event))
        else:
            self.forget_order(getattr(event, "order_ref", ""))

    def forget_order(self, order_ref: str) -> None:
        """The order's next report is news."""
        for key in list(self._reports.get(order_ref, ())) if order_ref else ():
            self._drop(key)

    def _drop(self, key: str) -> None:
        fact = self._last.pop(key, None)
        if fact is None or fact.order_ref not in self._reports:
            return
        self._reports[fact.order_ref].discard(key)
        if not self._reports[fact.order_ref]:
            del self._reports[fact.order_ref]


def _key(fact: Fact) -> str:
    if isinstance(fact, types.OrderReport):
        return f"order:{fact.account}:{fact.perm_id}:{fact.order_ref}"
    return f"{type(fact).__name__}:{fact.exec_id}"
