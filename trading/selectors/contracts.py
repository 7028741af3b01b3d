"""Which contracts a profile lets a strategy, or the desk itself, trade: the broker's ids of what people have named."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import Q

from trading.models import Instrument, RiskProfile, Strategy


@dataclass(frozen=True, slots=True)
class Listed:
    """Ids of contracts that may be traded, and of those that may not whatever else allows them."""

    allowed: frozenset[int]
    restricted: frozenset[int]


def listed(limits: RiskProfile, strategy: Strategy | None) -> Listed:
    """Find the ids behind a profile's two lists, which name contracts by id or by symbol.

    A symbol that several contracts carry allows none of them and restricts all of them. An empty list of allowed ones
    means the strategy's own instruments; the desk's own are all that people have set up.
    """
    named = _named([*limits.allowed_symbols, *limits.restricted_symbols])
    carriers = Counter(symbol for _, symbol in named)
    restricted = frozenset(key for key, symbol in named if {key, str(key), symbol} & set(limits.restricted_symbols))
    if not limits.allowed_symbols:
        own = strategy.instruments if strategy is not None else Instrument.objects.exclude(sec_type="")
        return Listed(frozenset(key for key in own.values_list("con_id", flat=True) if key), restricted)
    allowed = set(limits.allowed_symbols)
    found = {key for key, symbol in named if {key, str(key)} & allowed or (symbol in allowed and carriers[symbol] == 1)}
    return Listed(frozenset(found), restricted)


def _named(names: list[str | int]) -> list[tuple[int, str]]:
    """The resolved contracts that people have set up under these ids and symbols."""
    if not names:
        return []
    ids = [int(name) for name in names if str(name).isdecimal()]
    symbols = [name for name in names if isinstance(name, str)]
    rows = Instrument.objects.filter(Q(con_id__in=ids) | Q(symbol__in=symbols))
    return [(key, symbol) for key, symbol in rows.values_list("con_id", "symbol") if key]
