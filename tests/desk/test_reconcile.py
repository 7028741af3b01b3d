"""Reconcile on the whole desk: a real gateway, the owner, its writer and our rows."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO
from typing import Any, cast

import pytest
from django.core.management import call_command

from broker import types
from broker.errors import BrokerUnavailable
from broker.paper_gateway.control import ControlClient
from broker.service.local import LocalBroker
from tests.desk.conftest import Desk, build_strategy
from tests.support import eventually
from trading.models import Discrepancy, Order, Reconciliation, Trade


def looked(desk: Desk, times: int = 2) -> None:
    for _ in range(times):
        desk.market.broker.reconcile()
    desk.market.broker.drain()


def held(desk: Desk) -> dict[str, Order]:
    """A bracket whose entry has filled."""
    cycle = desk.run(build_strategy("held", ["RISE"]))
    desk.next_day()
    legs = desk.orders(cycle)
    assert legs["entry"].state == "FILLED"
    return legs


def test_a_clean_desk_compares_everything_and_its_cash_to_the_cent(desk: Desk) -> None:
    looked(desk, 1)
    held(desk)
    looked(desk)
    row = Reconciliation.objects.get(account=desk.account)
    assert row.cash is not None
    assert row.expected_cash is not None
    assert abs(row.cash - row.expected_cash) <= 0.01
    assert row.executions > 0
    assert not Discrepancy.objects.exists()


def test_a_stop_that_ended_without_the_desk_is_at_the_broker_again(desk: Desk) -> None:
    legs = held(desk)
    desk.market.broker.cancel(types.OrderRef(desk.account, legs["stop"].order_ref))
    desk.market.broker.drain()
    looked(desk)
    again = eventually(lambda: Order.objects.filter(role="stop", state="ACCEPTED").exclude(pk=legs["stop"].pk).first())
    assert again is not None
    assert (again.quantity, again.stop_price) == (legs["entry"].filled_quantity, legs["stop"].stop_price)
    looked(desk)
    assert Discrepancy.objects.get(kind="naked").state == "RESOLVED"
    groups = {report.order_ref: report.oca_group for report in desk.market.broker.open_orders() if report.oca_group}
    assert groups[again.order_ref] == groups[legs["target"].order_ref]


def command() -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `manage.py reconcile --json`."""
    out = StringIO()
    try:
        call_command("reconcile", "--json", stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def test_without_a_complete_answer_nothing_is_concluded(desk: Desk) -> None:
    """No order of ours is missing and nothing is flat only because nobody was there to be asked."""
    legs = held(desk)
    before = list(Order.objects.order_by("id").values("state", "version", "missing"))
    desk.market.gateway.fault("connectivity")
    eventually(lambda: not desk.market.broker.status().ready)
    with pytest.raises(BrokerUnavailable):
        cast("LocalBroker", desk.market.broker).reconcile(0.3)
    assert list(Order.objects.order_by("id").values("state", "version", "missing")) == before
    assert Trade.objects.get().open_quantity == legs["entry"].filled_quantity
    assert not Discrepancy.objects.exists()


def test_the_command_answers_clean_blocked_and_clean_again(desk: Desk) -> None:
    legs = held(desk)
    code, answer = command()
    assert (code, answer["blocking"], answer["found"]) == (0, 0, [])
    assert answer["compared"]["executions"] > 0
    assert Decimal(answer["expected_cash"]) == Decimal(answer["compared"]["cash"])
    desk.market.gateway.fault("drop", kinds="fills+listed.execDetails+listed.commissionReport")
    contract = legs["entry"].instrument
    assert contract.con_id is not None
    with ControlClient(desk.market.gateway.host, desk.market.gateway.control_port) as control:
        control.manual(contract.con_id, "BUY", 3)
    desk.next_day()
    code, answer = command()
    assert (code, [row["kind"] for row in answer["open"]], len(answer["found"])) == (1, ["position"], 1)
    desk.market.gateway.heal()
    code, answer = command()
    assert (code, answer["open"], len(answer["resolved"])) == (0, [], 1)


def test_the_command_without_a_broker_exits_3(db: None, settings: Any) -> None:
    settings.AUTOTRADER_MAY_OWN_BROKER = False
    code, answer = command()
    assert (code, answer["answered"]) == (3, False)
    assert not Discrepancy.objects.exists()


def test_a_manual_order_that_vanishes_ends(desk: Desk) -> None:
    legs = held(desk)
    assert legs["entry"].instrument.con_id is not None
    with ControlClient(desk.market.gateway.host, desk.market.gateway.control_port) as control:
        control.manual(legs["entry"].instrument.con_id, "BUY", 3, 1.0)
    desk.market.broker.drain()
    looked(desk, 1)
    manual = Order.objects.get(role="external")
    assert manual.state == "ACCEPTED"
    Order.objects.filter(pk=manual.pk).update(perm_id=1)  # whose end nobody told: the book has no such order
    looked(desk, 3)
    manual.refresh_from_db()
    assert manual.state == "CANCELLED"
