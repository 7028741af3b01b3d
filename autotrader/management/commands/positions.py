"""`manage.py positions`: what the account holds, as the broker says it now; needs no database."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from broker import codec, get_broker, types
from broker.errors import BrokerError, BrokerUnavailable

FAILED = 1
ZERO = Decimal(0)
COLUMNS = ("symbol", "quantity", "average cost", "price", "value", "unrealised", "realised")
START_HINT = "The owner of the connection is started by: manage.py up, or manage.py run_broker."


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over positions; None where the broker has not said one of them."""

    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None


class Command(BaseCommand):
    help = "Show what the account holds, with its totals and its profit and loss, as the broker says it now."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0 with an answer, 1 without one."""
        try:
            with get_broker(embedded=True) as broker:
                positions, account = broker.positions(), broker.account()
        except BrokerError as error:
            self._refuse(error)
            sys.exit(FAILED)
        if options["json"]:
            self.stdout.write(json.dumps(document(positions, account), indent=1))
        else:
            for line in table(positions, account):
                self.stdout.write(line)

    def _refuse(self, error: BrokerError) -> None:
        self.stderr.write(self.style.ERROR(error.message))
        said = settings.AUTOTRADER_BROKER_URL or "manage.py" in error.message
        if isinstance(error, BrokerUnavailable) and not said:
            self.stderr.write(START_HINT)


def document(positions: Sequence[types.Position], account: types.AccountSummary) -> dict[str, Any]:
    """The answer for programs: Decimals as text; totals by currency."""
    return {
        "account": codec.to_json(account),
        "positions": [codec.to_json(position) for position in positions],
        "totals": {currency: codec.to_json(sums) for currency, sums in totals(positions).items()},
    }


def totals(positions: Sequence[types.Position]) -> dict[str, Totals]:
    """Sums over the positions of each currency."""
    sums = {}
    for currency in sorted({position.currency for position in positions}):
        rows = [position for position in positions if position.currency == currency]
        sums[currency] = Totals(*(_sum(getattr(row, field.name) for row in rows) for field in fields(Totals)))
    return sums


def table(positions: Sequence[types.Position], account: types.AccountSummary) -> list[str]:
    """The answer for people."""
    rows = [COLUMNS, *(_row(position) for position in sorted(positions, key=lambda one: one.symbol))]
    for currency, sums in totals(positions).items():
        rows.append((f"total {currency}", "", "", "", *map(_money, astuple(sums))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    named = {"unrealised": account.unrealized_pnl, "realised": account.realized_pnl, "cash": account.cash}
    return [
        f"{account.account}  {account.currency}  net liquidation {_money(account.net_liquidation)}",
        "  ".join(f"{name} {_money(value)}" for name, value in named.items()),
        "",
        *(_line(row, widths) for row in (rows if positions else [("no positions",)])),
    ]


def _row(position: types.Position) -> tuple[str, ...]:
    money = (position.average_cost, position.market_price, position.market_value)
    results = (position.unrealized_pnl, position.realized_pnl)
    return (position.symbol, f"{position.quantity.normalize():f}", *map(_money, money), *map(_money, results))


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    first, *others = row
    cells = [f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=False)]
    return "  ".join([f"{first:<{widths[0]}}", *cells]).rstrip()


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    known = list(values)
    return None if None in known else sum((value for value in known if value is not None), ZERO)


def _money(value: Decimal | None) -> str:
    return "–" if value is None else f"{value:,.2f}"
