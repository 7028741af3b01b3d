"""`manage.py reconcile`: look at the broker's whole book now, compare it with our rows and say what differs."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand

from broker import codec, get_broker, types
from broker.errors import BrokerError
from trading.models import Discrepancy
from trading.selectors.discrepancies import all_open, cash_compared, resolved_since
from trading.services.accounts import account_kind

BLOCKED = 1
NO_ANSWER = 3


class Command(BaseCommand):
    help = (
        "Compare the broker's orders, executions, positions and cash with our rows now. Exits 1 while a difference "
        "blocks trading, 3 where the broker gave no complete answer: then nothing is concluded from it."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0 clean, 1 blocked, 3 without an answer."""
        try:
            with get_broker(embedded=True) as broker:
                first = broker.reconcile()
                report = broker.reconcile()  # a difference counts once two answers show it
        except BrokerError as error:
            self._refuse(error, as_json=options["json"])
            sys.exit(NO_ANSWER)
        still = list(all_open(report.account))
        document = outcome(first, report, still)
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=1))
        else:
            for line in lines(document):
                self.stdout.write(line)
        if any(row.blocking for row in still):
            sys.exit(BLOCKED)

    def _refuse(self, error: BrokerError, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"answered": False, "code": error.reason, "reason": error.message}))
        else:
            self.stderr.write(self.style.ERROR(f"No complete answer, so nothing is concluded: {error.message}"))


def outcome(
    first: types.ReconcileReport, report: types.ReconcileReport, still: Sequence[Discrepancy]
) -> dict[str, Any]:
    """The answer for programs."""
    expected, note = cash_compared(report.account)
    return {
        "answered": True,
        "kind": account_kind(report.account),
        "compared": codec.to_json(report),
        "expected_cash": None if expected is None else f"{expected:.2f}",
        "cash_note": note,
        "found": [row.pk for row in still if row.first_seen_at >= first.at],
        "resolved": [row.pk for row in resolved_since(report.account, first.at)],
        "open": [_row(row) for row in still],
        "blocking": sum(row.blocking for row in still),
    }


def _row(row: Discrepancy) -> dict[str, Any]:
    names = ("kind", "subject", "detail", "ours", "theirs", "blocking")
    return {"id": row.pk, **{name: getattr(row, name) for name in names}, "since": row.first_seen_at.isoformat()}


def lines(document: dict[str, Any]) -> list[str]:
    """The answer for people."""
    found = document["compared"]
    cash = f"cash {found['cash']} {found['currency']} (by our fills {document['expected_cash'] or '–'})"
    if document["cash_note"]:
        cash += f": {document['cash_note']}"
    counts = f"{found['orders']} orders, {found['executions']} executions and {found['positions']} positions compared"
    news = f"{len(document['found'])} differences found, {len(document['resolved'])} resolved"
    left = f"{len(document['open'])} open, {document['blocking']} of them block trading"
    rows = [f"  {'BLOCKS ' if row['blocking'] else ''}{row['kind']}: {row['detail']}" for row in document["open"]]
    return [f"{found['account']}: {counts}", cash, f"{news}, {left}", *rows]
