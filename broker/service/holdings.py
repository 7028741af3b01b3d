"""What the broker holds against the sum of our fills: a difference that stays is told, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from broker import types

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Difference:
    """One contract: `quantity` at the broker, `booked` by our fills; equal where they agree."""

    quantity: Decimal
    booked: Decimal

    @property
    def excess(self) -> Decimal:
        """What the broker holds beyond our fills; our own trades beside a holding of others do not change it."""
        return self.quantity - self.booked


def differences(held: Sequence[types.Position], booked: Mapping[int, Decimal]) -> dict[int, Difference]:
    """The contracts on which the two do not agree, by con_id."""
    quantities = {position.con_id: position.quantity for position in held}
    pairs = {
        con_id: Difference(quantities.get(con_id, ZERO), booked.get(con_id, ZERO))
        for con_id in quantities.keys() | booked.keys()
    }
    return {con_id: pair for con_id, pair in pairs.items() if pair.excess}


class Holdings:
    """Remembers the answer before, and what was told; `unsettled` after a comparison asks for another one soon."""

    def __init__(self) -> None:
        self.unsettled = False
        self._before: dict[int, Difference] = {}
        self._told: dict[int, Difference] | None = None
        self._symbols: dict[int, str] = {}

    def knows_what_was_told(self) -> bool:
        """False until `remember` was called."""
        return self._told is not None

    def remember(self, told: Sequence[types.PositionMismatch]) -> None:
        """What was told before this process began, oldest first."""
        self._told = {event.con_id: Difference(event.quantity, event.booked) for event in told}
        self._symbols = {event.con_id: event.symbol for event in told}

    def forget(self) -> None:
        """A new connection: two answers of it are needed again."""
        self._before = {}

    def compare(
        self, account: str, held: Sequence[types.Position], booked: Mapping[int, Decimal], now: datetime
    ) -> list[types.PositionMismatch]:
        """What is to be told now: differences that the answer before showed too, and those that are gone."""
        told = self._told or {}
        found = differences(held, booked)
        self._symbols |= {position.con_id: position.symbol for position in held}
        lasting = {con_id: pair for con_id, pair in found.items() if self._before.get(con_id) == pair}
        news = {con_id: pair for con_id, pair in lasting.items() if pair.excess != _excess(told.get(con_id))}
        for con_id, pair in told.items():
            if pair.excess and con_id not in found:
                news[con_id] = Difference(booked.get(con_id, ZERO), booked.get(con_id, ZERO))
        self._before, self.unsettled = found, len(lasting) < len(found)
        self._told = told | news
        return [
            types.PositionMismatch(account, con_id, self._symbols.get(con_id, ""), pair.quantity, pair.booked, now)
            for con_id, pair in news.items()
        ]


def _excess(told: Difference | None) -> Decimal:
    return ZERO if told is None else told.excess
