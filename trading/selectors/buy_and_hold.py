"""What the account's money would have come to, bought once and held: from the quotes that its decisions stored.

The equity at the beginning is split equally between all instruments that were decided about in the time; each is bought
at its last stored price before the beginning, or else at its first one after (until then its part is cash). A price is
the middle of the bid and the ask stored with a decision, or its price where a side is missing. Costs, dividends and
money that came or went later are not in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db.models import QuerySet

from autotrader.core.money import quantize_money
from trading.models import Account, Decision
from trading.selectors.equity_curve import Curve, EquityPoint
from trading.selectors.remembered import Shelf

MOST = 20_000
BEFORE = timedelta(days=1)
# As in the bars that are refused: a share that halves between two decisions has more probably been split.
LARGEST_GAP = Decimal("0.35")
NO_CURVE = "there is no curve of equity to compare with"
NO_PRICES = "no decision of this time stored a price"
ONE_PRICE = "prices of one moment alone are no line"


@dataclass(frozen=True, slots=True)
class BuyAndHold:
    """The line, in the account's currency, and what it holds; `why` says why there is none."""

    points: tuple[tuple[datetime, Decimal], ...]
    symbols: tuple[str, ...]
    why: str


class _Price(NamedTuple):
    at: datetime
    symbol: str
    currency: str
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None

    @property
    def value(self) -> Decimal | None:
        """The price it stands for; None where nothing usable was stored."""
        if self.bid is not None and self.ask is not None and 0 < self.bid <= self.ask:
            return (self.bid + self.ask) / 2
        return self.last if self.last is not None and self.last > 0 else None


_lines: Shelf[BuyAndHold] = Shelf(64)


def buy_and_hold(account: Account, strategy: str, points: Sequence[EquityPoint]) -> BuyAndHold:
    """The line beside this curve of the account's equity; of one strategy's decisions where its name is given."""
    if len(points) < 2:
        return BuyAndHold((), (), NO_CURVE)
    rows = Decision.objects.filter(account=account)
    rows = rows.filter(strategy__name=strategy) if strategy else rows
    mark: Hashable = (points[-1], rows.order_by("-id").values_list("pk", "version", "at").first())
    key = (account.pk, account.base_currency, strategy, points[0])
    return _lines.remembered(key, mark, lambda: _reckoned(account, rows, points))


def _reckoned(account: Account, rows: QuerySet[Decision], points: Sequence[EquityPoint]) -> BuyAndHold:
    begin, end, money = points[0].at, max(point.at for point in points), points[0].equity
    prices = _prices(rows, begin - BEFORE, end)
    if prices is None:
        return BuyAndHold((), (), f"more than {MOST:,} decisions lie in this time")
    foreign = sorted({price.symbol for price in prices if price.currency != account.base_currency})
    if foreign:
        return BuyAndHold((), (), f"{', '.join(foreign)} is not priced in {account.base_currency}")
    symbols = tuple(sorted({price.symbol for price in prices if price.value is not None}))
    if not symbols:
        return BuyAndHold((), (), NO_PRICES)
    jumped = _jumped(prices)
    if jumped:
        return BuyAndHold((), (), jumped)
    line = _line(prices, begin, money, len(symbols))
    return BuyAndHold(line, symbols, "" if len(line) > 1 else ONE_PRICE)


def _prices(rows: QuerySet[Decision], since: datetime, until: datetime) -> list[_Price] | None:
    """What the decisions of this time stored, in the order of time; None where they are too many to read."""
    names = ("market_at", "instrument__symbol", "instrument__currency", "bid", "ask", "price")
    newest = [_Price(*row) for row in rows.order_by("-id").values_list(*names)[: MOST + 1]]
    if len(newest) > MOST and newest[-1].at >= since:
        return None
    return sorted((price for price in newest if since <= price.at <= until), key=lambda price: price.at)


def _jumped(prices: Iterable[_Price]) -> str:
    """Why two neighbouring prices cannot be of one series; empty where all can."""
    before: dict[str, Decimal] = {}
    for price in prices:
        now = price.value
        if now is None:
            continue
        then = before.get(price.symbol, now)
        if abs(now / then - 1) > LARGEST_GAP:
            return (
                f"{price.symbol} goes from {then:.2f} to {now:.2f} between two decisions: a split would look like that"
            )
        before[price.symbol] = now
    return ""


def _line(
    prices: Iterable[_Price], begin: datetime, money: Decimal, parts: int
) -> tuple[tuple[datetime, Decimal], ...]:
    """The value at the beginning and at each time of a decision."""
    bought: dict[str, Decimal] = {}
    now: dict[str, Decimal] = {}
    told: dict[datetime, Decimal] = {begin: money}
    for price in prices:
        value = price.value
        if value is None:
            continue
        if price.at <= begin:
            bought[price.symbol] = value
        now[price.symbol] = value
        bought.setdefault(price.symbol, value)
        if price.at > begin:
            grown = sum((now[symbol] / bought[symbol] for symbol in bought), Decimal(parts - len(bought)))
            told[price.at] = quantize_money(money * grown / parts)
    curve = Curve()
    for at, worth in told.items():
        curve.take((at, worth, None))
    return tuple((at, worth) for at, worth, _ in curve.points())
