"""Made-up companies: figures that follow from a stock's row alone, quarter by quarter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random

from ..types import SymbolSpec
from ..universe import LISTED_BY_SYMBOL, seeded_start

_SHARES = 500_000_000
_BASE_YEAR = 2024
_CONFIRMED_AHEAD = timedelta(days=21)
_AFTER, _BEFORE = "AFTER MARKET", "BEFORE MARKET"


@dataclass(frozen=True, slots=True)
class Quarter:
    """A fiscal quarter, which is a calendar quarter: 1 to 4."""

    year: int
    number: int

    @property
    def end(self) -> date:
        return date(self.year + self.number // 4, self.number % 4 * 3 + 1, 1) - timedelta(days=1)

    @property
    def name(self) -> str:
        return f"Q{self.number}"

    def shifted(self, quarters: int) -> Quarter:
        index = self.year * 4 + self.number - 1 + quarters
        return Quarter(index // 4, index % 4 + 1)


@dataclass(frozen=True, slots=True)
class Release:
    """One earnings release; `time` as the event calendar words it."""

    quarter: Quarter
    day: date
    time: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Results:
    """One quarter in millions of the reporting currency; `per_share` in units of it."""

    revenue: Decimal
    income: Decimal
    per_share: Decimal


@dataclass(frozen=True, slots=True)
class Company:
    """A stock's company; the rates are of a year."""

    spec: SymbolSpec
    shares: int
    margin: float
    growth: float
    multiple: float
    payout: float
    lag: int
    reports: str

    def results(self, quarter: Quarter) -> Results:
        """What the quarter brought, or will bring by trend."""
        years = quarter.year - _BASE_YEAR + quarter.number / 4
        noise = Random(f"{self.spec.symbol}:{quarter.year}:{quarter.number}").uniform(0.94, 1.06)
        price = float(LISTED_BY_SYMBOL[self.spec.symbol].price if self.is_listed else _first_price(self.spec))
        income = price / self.multiple / 4 * self.shares * (1 + self.growth) ** years * noise
        return Results(_millions(income / self.margin), _millions(income), _cents(income / self.shares))

    def expected(self, quarter: Quarter) -> Decimal:
        """What analysts expect the quarter to earn a share: near what it will be, not equal to it."""
        error = Random(f"{self.spec.symbol}:{quarter.year}:{quarter.number}:expected").uniform(0.9, 1.1)
        return _cents(float(self.results(quarter).per_share) * error)

    @property
    def is_listed(self) -> bool:
        return self.spec.currency == "USD" and self.spec.symbol in LISTED_BY_SYMBOL

    def release(self, quarter: Quarter, today: date) -> Release:
        """The release of a quarter's results; days more than three weeks ahead are estimates."""
        day = quarter.end + timedelta(days=self.lag)
        day -= timedelta(days=max(0, day.weekday() - 4))
        return Release(quarter, day, self.reports, day <= today + _CONFIRMED_AHEAD)

    def releases(self, first: date, last: date, today: date) -> list[Release]:
        """Releases on first..last, oldest first."""
        quarter, found = Quarter(first.year - 1, 3), []
        while (release := self.release(quarter, today)).day <= last:
            if release.day >= first:
                found.append(release)
            quarter = quarter.shifted(1)
        return found

    def reported(self, today: date, count: int) -> list[Quarter]:
        """The last quarters whose results are out, newest first."""
        quarter = Quarter(today.year, (today.month - 1) // 3 + 1)
        while self.release(quarter, today).day > today:
            quarter = quarter.shifted(-1)
        return [quarter.shifted(-back) for back in range(count)]


@lru_cache(maxsize=1024)
def company_of(spec: SymbolSpec) -> Company | None:
    """The company behind a stock; None for funds and everything else."""
    if spec.sec_type != "STK" or spec.stock_type != "COMMON":
        return None
    random = Random(f"{spec.symbol}:{spec.currency}")
    listing = LISTED_BY_SYMBOL.get(spec.symbol) if spec.currency == "USD" else None
    return Company(
        spec=spec,
        shares=listing.shares_outstanding if listing else _SHARES,
        margin=random.uniform(0.05, 0.30),
        growth=random.uniform(-0.02, 0.15),
        multiple=random.uniform(9, 35),
        payout=random.uniform(0.1, 0.6) if random.random() < 0.7 else 0.0,
        lag=random.randint(18, 42),
        reports=random.choice((_AFTER, _BEFORE)),
    )


def _first_price(spec: SymbolSpec) -> Decimal:
    start = seeded_start(spec.market)
    return Decimal(start.price if start else 100)


def _millions(amount: float) -> Decimal:
    return Decimal(f"{amount / 1_000_000:.3f}")


def _cents(amount: float) -> Decimal:
    return Decimal(f"{amount:.2f}")
