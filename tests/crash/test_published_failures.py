"""Seven failures that other trading programs have published, each over the real socket, passing here."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from pytest_django import Settings

from autotrader.management.gateways import replay_times
from autotrader.wiring import TradingDesk
from broker import get_broker, remote, types
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.port import Broker
from broker.service import desk as desks
from broker.service.local import LocalBroker
from broker.service.owner import Owner, Place, serve
from tests.broker_service.house import CLOSE, FAST, bracket, filling
from tests.desk.conftest import Desk, bars_folder, build_strategy, desk, open_desk
from tests.support import ROOT, child_environment, eventually
from trading.models import Fill, Order, OrderChange, Trade

pytestmark = [pytest.mark.once, pytest.mark.timeout(240)]

__all__ = ["bars_folder", "desk", "open_desk"]
HOUR = timedelta(hours=1)


@pytest.fixture
def place(
    transactional_db: None, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Place, EmbeddedGateway]]:
    """A gateway with a set clock, where owners of the real desk connect."""
    settings.AUTOTRADER_STATE_DIR = tmp_path
    monkeypatch.setattr(remote, "PING_LIMIT", 30.0)  # an owner that is only slow is there
    before = desks.register(TradingDesk())
    with EmbeddedGateway(set_clock=CLOSE, store_path=tmp_path / "paper.sqlite3") as gateway:
        settings.AUTOTRADER_BROKER_PORT = gateway.port
        yield Place(), gateway
    desks.register(before)


def ready(owner: Owner) -> Broker:
    """The owner's broker, once orders may leave."""
    eventually(lambda: owner.broker.settle(1))
    return cast("Broker", owner.broker)


def came_back(broker: Broker) -> bool:
    """Whether the connection was lost and made anew, by its history: who looks now and then may miss the loss."""
    kinds = [note.kind for note in broker.connection_history(types.HistoryQuery())]  # the newest first
    return "lost" in kinds and "replayed" in kinds[: kinds.index("lost")]


def look(running: Desk) -> None:
    """Compare with the broker's book now."""
    cast("LocalBroker", running.market.broker)._reconciler.wake()


def states(running: Desk) -> dict[str, str]:
    return {role: order.state for role, order in running.orders(running.cycles[0]).items()}


def executed(gateway: EmbeddedGateway) -> dict[str, str]:
    """Our reference of each execution that the market knows."""
    return {exec_id: row["order_ref"] for exec_id, row in gateway.truth()["executions"].items()}


def credited() -> dict[str, str]:
    """The same by our books."""
    return dict(Fill.objects.filter(superseded=False).values_list("exec_id", "order__reason"))


FILLED = {"entry": "FILLED", "stop": "ACCEPTED", "target": "ACCEPTED"}


def test_lean_interactive_brokers_249(desk: Desk) -> None:
    """Fills that came while error 1100 was set were dropped, and executions were never asked for afterwards."""
    desk.run(build_strategy("s", ["RISE"]))
    desk.market.broker.drain()
    desk.market.gateway.fault("connectivity", restore=1102)
    desk.market.gateway.advance(replay_times(desk.days[desk.position + 1], ["RISE"]).cycle_at)
    assert not Fill.objects.exists()
    desk.market.gateway.heal()
    eventually(lambda: states(desk) == FILLED)
    assert {fill.exec_id for fill in Fill.objects.all()} == set(desk.market.gateway.truth()["executions"])


@pytest.mark.parametrize("leg", [1, 3])
def test_lean_interactive_brokers_242(place: tuple[Place, EmbeddedGateway], leg: int) -> None:
    """Orders written as the gateway restarted were lost, ids rolled back and were used again, and callbacks reached
    both orders."""
    where, gateway = place
    with serve(where, timing=FAST) as owner:
        broker = ready(owner)
        broker.place(filling(broker, "G1"))
        owner.broker.drain()
        gateway.advance(CLOSE + HOUR)
        gateway.fault("restart", on="placeOrder", nth=leg, lasts=0.1, back=3)
        cut = filling(broker, "G2", 7)
        broker.place(cut)
        eventually(lambda: came_back(broker))
        ready(owner)
        assert all(outcome.repeated for outcome in broker.place(cut).legs)
        broker.place(filling(broker, "G3", 5))
        owner.broker.drain()
        gateway.advance(CLOSE + 2 * HOUR)
        eventually(lambda: credited() == executed(gateway))
    frames = gateway.frames("placeOrder")
    ids = Counter(fields[1] for fields in frames)
    assert set(ids.values()) == {1}
    working = Counter(row["order_ref"] for row in gateway.truth()["orders"].values())
    assert max(working.values()) == 1


def test_lean_interactive_brokers_227(place: tuple[Place, EmbeddedGateway], settings: Settings) -> None:
    """The nightly reset ended the whole process."""
    where, gateway = place
    command = [sys.executable, "manage.py", "run_broker"]
    environment = child_environment(AUTOTRADER_STATE_DIR=str(where.state_dir), AUTOTRADER_BROKER_PORT=str(where.port))
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            eventually(lambda: "ready" in process.stdout.readline())  # type: ignore[union-attr]
            settings.AUTOTRADER_MAY_OWN_BROKER = False
            settings.AUTOTRADER_BROKER_SECRET = (where.state_dir / "broker.secret").read_text().strip()
            gateway.fault("restart", lasts=0.2, back=5)
            with get_broker() as broker:
                eventually(lambda: came_back(broker))
                eventually(lambda: broker.status().ready)
                assert str(process.pid) in broker.status().owner
                broker.place(bracket(broker))
            assert process.poll() is None
        finally:
            process.kill()


def test_nautilus_4564(desk: Desk) -> None:
    """A modify in a loss of connectivity left duplicate live orders."""
    cycle = desk.run(build_strategy("s", ["RISE"]))
    desk.next_day()
    stop = desk.orders(cycle)["stop"]
    assert stop.stop_price is not None
    broker, gateway = desk.market.broker, desk.market.gateway
    gateway.fault("connectivity", on="placeOrder", orders="doubled")
    soon, price = datetime.now(UTC) + timedelta(seconds=30), stop.stop_price - Decimal("0.01")
    broker.modify(types.ModifyOrder(desk.account, stop.order_ref, 1, None, price, reduces=True, deadline=soon))
    eventually(lambda: not broker.status().ready)
    gateway.heal()

    def working() -> int:
        look(desk)
        rows = gateway.truth()["orders"].values()
        return sum(
            row["order_ref"] == stop.order_ref and row["status"] in ("Submitted", "PreSubmitted") for row in rows
        )

    eventually(lambda: working() == 1)
    assert len(gateway.frames("placeOrder")) == 4


def test_nautilus_4970(desk: Desk) -> None:
    """Reconciling made a second order of one that it should have known."""
    desk.market.gateway.fault("unanswered")
    desk.run(build_strategy("s", ["RISE"]))
    desk.market.gateway.heal()
    desk.market.gateway.fault("restart", lasts=0.1, back=3)
    eventually(lambda: set(states(desk).values()) == {"ACCEPTED"})
    desk.next_day()
    for _ in range(2):
        looks = cast("LocalBroker", desk.market.broker)._reconciler.looks
        look(desk)
        eventually(lambda seen=looks: cast("LocalBroker", desk.market.broker)._reconciler.looks > seen)
    rows = desk.market.gateway.truth()["orders"]
    assert {str(order.perm_id) for order in Order.objects.all()} == set(rows)
    assert Order.objects.count() == len(rows) == desk.frames("placeOrder") == 3
    assert Trade.objects.count() == 1


def test_nautilus_5057(place: tuple[Place, EmbeddedGateway]) -> None:
    """Working orders of the last session could not be changed or cancelled after a restart."""
    where, gateway = place
    with serve(where, timing=FAST) as owner:
        broker = ready(owner)
        order = bracket(broker)
        broker.place(order)
        owner.broker.drain()
    with serve(where, timing=FAST) as owner:
        broker = ready(owner)
        target = order.legs[2]
        assert target.limit_price is not None
        price = target.limit_price + 1
        broker.modify(
            types.ModifyOrder(order.account, target.order_ref, 1, price, None, reduces=True, deadline=order.deadline)
        )
        eventually(lambda: broker.order(types.OrderRef(order.account, target.order_ref)).limit_price == price)
        broker.cancel(types.OrderRef(order.account, order.legs[0].order_ref))
        eventually(lambda: not broker.open_orders())
    assert {row["status"] for row in gateway.truth()["orders"].values()} == {"Cancelled"}


def test_lean_tradestation_101(desk: Desk) -> None:
    """A stream with healthy heartbeats never brought one fill, and nobody compared."""
    desk.run(build_strategy("s", ["RISE"]))
    desk.market.gateway.fault("drop", kinds="fills+acks")
    desk.next_day()
    assert desk.market.broker.status().ready
    assert not Fill.objects.exists()
    look(desk)
    eventually(lambda: states(desk) == FILLED)
    assert not OrderChange.objects.exists()
    assert desk.frames("placeOrder") == 3
