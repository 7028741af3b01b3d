"""The account over REST: live from the broker, longer profit and loss from our rows, and only for keys that may."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from tests.core.keys import bearer, key_of, person
from tests.desk.conftest import Desk, bars_folder, build_strategy, open_desk
from tests.desk.conftest import desk as desk
from trading.api.account import LivePositions
from trading.api.live import LiveAccount
from trading.models import Trade
from trading.selectors.pnl import AccountResult

__all__ = ["bars_folder", "desk", "open_desk"]
SEES = ("trading.view_account", "trading.view_order", "trading.view_accountsnapshot")
OF_THE_ACCOUNT = (
    "account/summary", "account/positions", "account/pnl", "account/pnl?timeframe=week", "live/account-summary",
    "live/positions", "live/open-orders",
)  # fmt: skip
NUMBERS = itertools.count()


class Program:
    """A key of somebody who sees the account, with what it is limited to."""

    def __init__(self, **limits: Any) -> None:
        _, self.text = key_of(person(f"p{next(NUMBERS)}", *SEES), "read", **limits)
        self.client = Client()

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/{path}", headers=bearer(self.text))


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_what_is_held_is_told_live_with_its_result(desk: Desk) -> None:
    program = Program()
    assert program.get("live/positions").json() == []
    desk.run(build_strategy("rise", ["RISE"]))
    desk.next_day()
    trade = Trade.objects.get()

    held = program.get("account/positions").json()
    assert set(held) == set(LivePositions.__dataclass_fields__)
    assert (held["account"], held["source"]) == (desk.account, "live")
    assert [Decimal(row["quantity"]) for row in held["positions"]] == [trade.quantity]
    (now,) = program.get("live/positions").json()
    (before,) = held["positions"]
    assert now.pop("received_at") > before.pop("received_at"), "each is asked anew"
    assert now == before

    values = program.get("account/summary").json()
    assert set(values) == set(LiveAccount.__dataclass_fields__)
    assert Decimal(values["net_liquidation"]) > 0
    assert [row["account"] for row in program.get("live/account-summary").json()] == [desk.account]
    roles = {row["order_ref"][-2:] for row in program.get("live/open-orders").json()}
    assert roles == {"-S", "-T"}

    today = program.get("account/pnl").json()
    assert set(today) == set(AccountResult.__dataclass_fields__)
    assert (today["source"], today["timeframe"], today["missing"]) == ("live", "day", [])
    assert Decimal(today["commissions"]) == trade.commission
    (row,) = today["by_symbol"]
    assert (row["symbol"], row["unrealized"]) == ("RISE", today["unrealized"])
    assert program.get("account/pnl?symbol=RISE").json()["unrealized"] == today["unrealized"]
    assert program.get("account/pnl?symbol=FALL").json()["by_symbol"] == []

    week = program.get(f"account/pnl?timeframe=week&account={desk.account}").json()
    assert (week["source"], Decimal(week["realized"])) == ("history", 0)
    assert [Decimal(row["quantity"]) for row in week["by_symbol"]] == [trade.quantity]
    assert code_of(program.get("account/pnl?account=DU999")) == (422, "UNKNOWN_ACCOUNT")

    for limits in ({"accounts": ["DU999"]}, {"strategies": [1]}):
        stranger = Program(**limits)
        assert {path: code_of(stranger.get(path)) for path in OF_THE_ACCOUNT} == dict.fromkeys(
            OF_THE_ACCOUNT, (403, "KEY_LIMITED")
        )
    assert Program(accounts=[desk.account]).get("account/positions").status_code == 200


@pytest.mark.django_db
def test_longer_profit_and_loss_needs_no_broker() -> None:
    program = Program()
    assert code_of(program.get("account/pnl?timeframe=month")) == (422, "UNKNOWN_ACCOUNT")
    assert code_of(program.get("account/pnl?timeframe=decade")) == (422, "INVALID")
    for path in ("account/summary?x=1", "live/positions?account=DU1", "account/pnl?since=2020"):
        assert code_of(program.get(path)) == (422, "UNKNOWN_FIELD")
