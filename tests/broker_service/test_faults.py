"""Each way in which the gateway goes wrong, through the real socket: the desk's books end as the market's."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from autotrader.core.audit.models import Event
from autotrader.wiring import TradingDesk
from broker import types
from broker.errors import BrokerUnavailable, TradingDisabled
from broker.models import BrokerMessage
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service import desk as desks
from broker.service import doubles
from broker.service.owner import Owner, Place, serve
from broker.service.reconcile import Timing
from tests.broker_service.house import CLOSE, bracket, filling, placed_frames
from tests.support import PATIENCE_S, eventually
from trading.models import Fill

pytestmark = pytest.mark.once

HOUR = timedelta(hours=1)  # of the same day: lists of executions end with it
CUTS = 12
DEAD = {"Cancelled", "ApiCancelled", "Inactive", "Parked"}


class WatchedDesk(TradingDesk):
    """The trading desk, with what it was told, and intents of the test's own."""

    def __init__(self) -> None:
        self.events: list[types.BrokerEvent] = []
        self.intents: list[types.UnresolvedIntent] = []

    def apply(self, event: types.BrokerEvent) -> None:
        super().apply(event)
        self.events.append(event)

    def unresolved(self, now: datetime) -> Sequence[types.UnresolvedIntent]:
        return [*super().unresolved(now), *self.intents]

    def connections(self) -> list[types.ConnectionReport]:
        """What became of the connection so far."""
        return [event for event in list(self.events) if isinstance(event, types.ConnectionReport)]

    def refs(self, kind: type[types.OrderReport | types.OrderMessage]) -> set[str]:
        """The orders of which such an event told."""
        return {event.order_ref for event in list(self.events) if isinstance(event, kind)}


@pytest.fixture
def desk() -> Iterator[WatchedDesk]:
    made = WatchedDesk()
    before = desks.register(made)
    yield made
    desks.register(before)


def booked() -> dict[str, Decimal]:
    """The fills that count in our books, by exec_id."""
    return dict(Fill.objects.filter(superseded=False).values_list("exec_id", "quantity"))


def executed(gateway: EmbeddedGateway) -> dict[str, Decimal]:
    """The executions of the market, by exec_id."""
    rows: Mapping[str, Mapping[str, Any]] = gateway.truth()["executions"]
    return {exec_id: Decimal(row["shares"]) for exec_id, row in rows.items()}


def orders(gateway: EmbeddedGateway, group: str) -> list[tuple[str, str]]:
    """Reference and status of the group's orders at the market."""
    rows: Mapping[str, Mapping[str, Any]] = gateway.truth()["orders"]
    return sorted((row["order_ref"], row["status"]) for row in rows.values() if row["order_ref"].startswith(group))


def live(gateway: EmbeddedGateway, group: str) -> Counter[str]:
    """How many orders of each reference are at the market and not dead."""
    return Counter(order_ref for order_ref, status in orders(gateway, group) if status not in DEAD)


def assert_books_agree(gateway: EmbeddedGateway) -> None:
    """Every execution of the market is in our books, once; and none else."""
    assert executed(gateway), orders(gateway, "G1")
    eventually(lambda: booked() == executed(gateway))
    # A cost that was told before its fill waits for the next look at the book.
    eventually(lambda: not BrokerMessage.objects.filter(state="ERROR").exists())


def come_back(owner: Owner) -> None:
    """Wait until orders may leave again."""

    def is_back() -> bool:
        try:
            owner.broker.drain()
        except BrokerUnavailable:
            return False
        return owner.broker.settle(1)

    eventually(is_back)


def fill_later(owner: Owner, gateway: EmbeddedGateway) -> None:
    """An order that meets its price within the next hour, whatever happens then."""
    owner.broker.place(filling(owner.broker))
    owner.broker.drain()
    gateway.advance(CLOSE + HOUR)


# What is told of orders


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param("duplicate", {"kinds": "fills", "copies": 2}, id="told three times"),
        pytest.param("duplicate", {"kinds": "all", "copies": 1}, id="everything twice"),
        pytest.param("reorder", {"kinds": "orders+fills", "window": 3, "seed": 3}, id="in another order"),
        pytest.param("delay", {"kinds": "fills", "seconds": 0.2, "jitter": 0.2}, id="late"),
        pytest.param("slow", {"seconds": 0.05}, id="slowly"),
        pytest.param("drop", {"kinds": "acks", "times": 6}, id="without acknowledgements"),
        pytest.param("split_fills", {"parts": 4}, id="in parts"),
    ],
)
def test_fills_are_booked_once_however_they_are_told(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, name: str, parameters: dict[str, Any]
) -> None:
    gateway.fault(name, **parameters)
    fill_later(owner, gateway)
    eventually(lambda: booked() == executed(gateway))
    gateway.heal()
    assert_books_agree(gateway)
    assert placed_frames(gateway) == 3


@pytest.mark.parametrize("name", ["correct_execution", "bust_execution"])
@pytest.mark.parametrize("copies", [0, 2])
def test_what_the_market_corrects_or_takes_back_counts_once(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, name: str, copies: int
) -> None:
    gateway.fault(name, seconds=0.05)
    if copies:
        gateway.fault("duplicate", kinds="fills+listed.execDetails", copies=copies)
    fill_later(owner, gateway)
    eventually(lambda: Event.objects.filter(type="FILL_CORRECTED").exists())
    assert_books_agree(gateway)
    held = {int(con_id): Decimal(row["quantity"]) for con_id, row in gateway.truth()["positions"].items()}
    eventually(lambda: {key: value for key, value in (desk.positions(gateway.account) or {}).items() if value} == held)


def test_ids_that_a_restart_offers_again_are_not_cross_credited(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk
) -> None:
    first, second = filling(owner.broker, "G1", 10), filling(owner.broker, "G2", 7)
    owner.broker.place(first)
    owner.broker.drain()
    gateway.advance(CLOSE + HOUR)
    for leg in ("G1-S", "G1-T"):
        owner.broker.cancel(types.OrderRef(first.account, leg))
    eventually(lambda: not owner.broker.open_orders())
    gateway.fault("restart", lasts=0.2, back=8)
    eventually(lambda: any(event.state == "LOST" for event in desk.connections()))
    come_back(owner)
    owner.broker.place(second)
    owner.broker.drain()
    gateway.advance(CLOSE + 2 * HOUR)
    assert_books_agree(gateway)
    used = [fields[1] for fields in gateway.frames("placeOrder")]
    assert not set(used[:3]) & set(used[3:]), used
    assert filled_by_reference() == {"G1-E": 10, "G2-E": 7}


def filled_by_reference() -> dict[str, Decimal]:
    """What our books credit to each of our references."""
    sums: Counter[str] = Counter()
    for reference, quantity in Fill.objects.filter(superseded=False).values_list("order__reason", "quantity"):
        sums[reference] += quantity
    return dict(sums)


def test_a_fill_that_was_never_told_is_found_by_comparison(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk
) -> None:
    gateway.fault("drop", kinds="fills", times=2)
    fill_later(owner, gateway)
    assert_books_agree(gateway)
    assert gateway.faults()[0]["acted"] == 2


def test_the_comparison_comes_within_a_minute() -> None:
    assert Timing().interval + Timing().book_timeout < 60


def test_a_fill_that_no_list_tells_is_found_in_the_position_and_told_to_people(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk
) -> None:
    gateway.fault("drop", kinds="fills+listed.execDetails+listed.commissionReport")
    fill_later(owner, gateway)
    told = eventually(lambda: Event.objects.filter(type="POSITION_MISMATCH").first())
    assert (told.old_state, told.new_state) == ("0", "10")
    gateway.heal()
    assert_books_agree(gateway)
    eventually(lambda: Event.objects.filter(type="POSITION_MATCHED").exists())


def test_an_order_that_was_accepted_and_never_acknowledged_is_adopted(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk
) -> None:
    order = bracket(owner.broker)
    refs = {leg.order_ref for leg in order.legs}
    gateway.fault("unanswered")
    owner.broker.place(order)
    now = datetime.now(CLOSE.tzinfo)
    desk.intents = [types.UnresolvedIntent(order.account, ref, "SENDING", now) for ref in sorted(refs)]
    eventually(lambda: desk.refs(types.OrderReport) >= refs)
    assert placed_frames(gateway) == 3


# The link between TWS and the broker


@pytest.mark.parametrize("restore", [1101, 1102])
def test_fills_during_1100_are_not_lost(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, restore: int
) -> None:
    owner.broker.place(filling(owner.broker))
    owner.broker.drain()
    gateway.fault("connectivity", restore=restore)
    eventually(lambda: not owner.broker.status().ready)
    gateway.advance(CLOSE + HOUR)
    assert booked() == {}
    gateway.heal()
    come_back(owner)
    assert_books_agree(gateway)


@pytest.mark.parametrize("fate", ["lost", "queued", "unseen"])
def test_an_outage_in_the_middle_of_a_bracket_never_doubles_it(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, fate: str
) -> None:
    gateway.fault("connectivity", on="placeOrder", nth=2, orders=fate)
    order = bracket(owner.broker)
    owner.broker.place(order)
    eventually(lambda: not owner.broker.status().ready)
    gateway.heal()
    come_back(owner)
    owner.broker.place(order)
    owner.broker.drain()
    assert max(live(gateway, "G1").values(), default=0) <= 1
    assert placed_frames(gateway) == 3


def test_a_modify_during_an_outage_does_not_leave(owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    owner.broker.drain()
    gateway.fault("connectivity")
    eventually(lambda: not owner.broker.status().ready)
    with pytest.raises(TradingDisabled):
        owner.broker.modify(changed_target(order))
    gateway.heal()
    come_back(owner)
    assert live(gateway, "G1") == Counter(leg.order_ref for leg in order.legs)


@pytest.mark.parametrize("fate", ["lost", "queued", "unseen"])
def test_a_modify_in_a_connectivity_loss_never_leaves_two_live_orders(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, fate: str
) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    owner.broker.drain()
    gateway.fault("connectivity", on="placeOrder", orders=fate)
    change = changed_target(order)
    owner.broker.modify(change)
    eventually(lambda: not owner.broker.status().ready)
    gateway.heal()
    come_back(owner)
    assert all(leg.repeated for leg in owner.broker.modify(change).legs)
    assert live(gateway, "G1") == Counter(leg.order_ref for leg in order.legs)
    assert placed_frames(gateway) == 4


@pytest.mark.parametrize(("leg", "left"), [(0, 0), (1, 1), (2, 1)], ids=["entry", "stop", "target"])
def test_a_modify_that_became_a_second_order_in_a_connectivity_loss_leaves_none_too_many(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, leg: int, left: int
) -> None:
    order = filling(owner.broker) if leg else bracket(owner.broker)
    owner.broker.place(order)
    owner.broker.drain()
    if leg:
        gateway.advance(CLOSE + HOUR)
    reference = order.legs[leg].order_ref
    gateway.fault("connectivity", on="placeOrder", orders="doubled")
    owner.broker.modify(changed_price(order, leg))
    eventually(lambda: live(gateway, "G1")[reference] == 2 and not owner.broker.status().ready)
    gateway.heal()
    seen: list[Counter[str]] = []

    def is_resolved() -> bool:
        seen.append(live(gateway, "G1"))
        return seen[-1][reference] == left

    eventually(is_resolved)
    look_on(owner)
    there = live(gateway, "G1")
    assert (there[reference], len(gateway.frames("cancelOrder"))) == (left, 2 - left)
    assert Event.objects.filter(type="ORDER_DOUBLED").count() == 2 - left
    assert Event.objects.filter(type="ORDER_EXTERNAL").exists()
    if leg:
        assert all(legs["G1-S"] and legs["G1-T"] for legs in [*seen, there])
        assert_books_agree(gateway)
    else:
        assert sum(there.values()) == 0


def made_double(owner: Owner, gateway: EmbeddedGateway) -> types.PlaceOrder:
    """A bracket whose target has become two orders, which the owner cannot know yet."""
    order = bracket(owner.broker)
    owner.broker.place(order)
    owner.broker.drain()
    gateway.fault("connectivity", on="placeOrder", orders="doubled")
    owner.broker.modify(changed_price(order, 2))
    eventually(lambda: live(gateway, "G1")["G1-T"] == 2 and not owner.broker.status().ready)
    return order


def look_on(owner: Owner) -> None:
    """Wait until the owner has looked at the book anew, more than once."""
    come_back(owner)
    looked = owner.broker._reconciler.looks
    for step in (1, 2, 3):
        owner.broker._reconciler.wake()
        eventually(lambda step=step: owner.broker._reconciler.looks >= looked + step)


def test_cancels_of_a_second_order_that_do_nothing_end_with_a_call_for_a_person(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubles, "PATIENCE", timedelta(0))
    gateway.fault("silent", kinds="cancelOrder")
    made_double(owner, gateway)
    gateway.heal("connectivity")
    told = eventually(lambda: Event.objects.filter(type="ORDER_DOUBLED_UNRESOLVED").first())
    assert told is not None
    assert "a person must" in told.cause
    look_on(owner)
    assert gateway.faults()[0]["acted"] == doubles.MOST_TRIES
    assert Event.objects.filter(type="ORDER_DOUBLED_UNRESOLVED").count() == 1
    assert live(gateway, "G1")["G1-T"] == 2


def test_no_cancel_of_a_second_order_passes_a_shut_gate(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, settings: Any
) -> None:
    made_double(owner, gateway)
    settings.ORDERS_ENABLED = False
    gateway.heal()
    look_on(owner)
    assert (live(gateway, "G1")["G1-T"], gateway.frames("cancelOrder")) == (2, [])
    assert not Event.objects.filter(type="ORDER_DOUBLED").exists()
    settings.ORDERS_ENABLED = True
    eventually(lambda: live(gateway, "G1")["G1-T"] == 1)


def test_after_a_second_order_has_ended_the_first_is_changed_as_ever(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk
) -> None:
    order = made_double(owner, gateway)
    gateway.heal()
    eventually(lambda: live(gateway, "G1")["G1-T"] == 1)
    look_on(owner)
    again = replace(changed_target(order), revision=2)
    owner.broker.modify(again)
    owner.broker.drain()
    (report,) = [found for found in owner.broker.open_orders() if found.order_ref == "G1-T"]
    assert report.limit_price == again.limit_price
    assert live(gateway, "G1") == Counter(leg.order_ref for leg in order.legs)


def test_an_owner_that_begins_anew_goes_on_ending_a_doubled_entry(
    place: Place, start: Callable[..., Owner], gateway: EmbeddedGateway, desk: WatchedDesk
) -> None:
    with serve(place) as first:
        assert first.broker.settle(PATIENCE_S)
        first.broker.place(bracket(first.broker))
        first.broker.drain()
        (entry,) = [report for report in first.broker.open_orders() if report.order_ref == "G1-E"]
        found = (entry.perm_id, entry.perm_id + 100)
        first.broker._writer.put(types.OrderDoubled(entry.account, "G1-E", found, 1, entry.time, "two"))
        first.broker.drain()
    start(place)
    eventually(lambda: not sum(live(gateway, "G1").values()))


def changed_price(order: types.PlaceOrder, leg: int) -> types.ModifyOrder:
    """A cent less."""
    was = order.legs[leg]
    limit, stop = (price and price - Decimal("0.01") for price in (was.limit_price, was.stop_price))
    return types.ModifyOrder(
        order.account, was.order_ref, 1, limit, stop, reduces=order.legs[leg].role != "entry", deadline=order.deadline
    )


def changed_target(order: types.PlaceOrder) -> types.ModifyOrder:
    """A higher target."""
    target = order.legs[2].limit_price
    assert target is not None
    return types.ModifyOrder(order.account, "G1-T", 1, target + 1, None, reduces=True, deadline=order.deadline)


# The connection


@pytest.mark.parametrize("seed", range(CUTS))
def test_a_reset_between_any_two_bytes_of_a_bracket_never_doubles_it_nor_leaves_a_naked_parent(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, seed: int
) -> None:
    order = bracket(owner.broker)
    gateway.fault("reset", after_bytes=random.Random(seed).randint(1, 900), direction="in", times=1)
    owner.broker.place(order)
    eventually(lambda: gateway.faults()[0]["acted"] or placed_frames(gateway) == 3)
    gateway.heal()
    come_back(owner)
    owner.broker.place(order)
    owner.broker.drain()
    there = live(gateway, "G1")
    assert max(there.values(), default=0) <= 1
    assert not there["G1-E"] or there["G1-S"], orders(gateway, "G1")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param("restart", {"lasts": 0.2}, id="restart"),
        pytest.param("half_frame", {"kinds": "fills"}, id="half a frame"),
        pytest.param("reset", {"direction": "out", "after_bytes": 40, "times": 1}, id="reset while telling"),
    ],
)
def test_a_connection_that_ends_around_a_fill_loses_nothing(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk, name: str, parameters: dict[str, Any]
) -> None:
    owner.broker.place(filling(owner.broker))
    owner.broker.drain()
    gateway.fault(name, **parameters)
    gateway.advance(CLOSE + HOUR)
    assert_books_agree(gateway)
    come_back(owner)
    assert placed_frames(gateway) == 3


def test_a_gateway_that_refuses_connections_is_waited_for(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk
) -> None:
    gateway.fault("refuse_connections")
    gateway.fault("restart", lasts=0.01)
    eventually(lambda: not owner.broker.status().connected)
    with pytest.raises(BrokerUnavailable):
        owner.broker.positions()
    gateway.heal()
    come_back(owner)
    assert owner.broker.positions() == ()


def test_an_order_whose_answer_stays_out_is_never_sent_again(
    owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk
) -> None:
    order = bracket(owner.broker)
    gateway.fault("silent", kinds="placeOrder")
    late = replace(order, deadline=datetime.now(CLOSE.tzinfo) + timedelta(seconds=5))
    outcomes = [owner.broker.place(late) for _ in range(3)]
    gateway.heal()
    outcomes.append(owner.broker.place(late))
    owner.broker.drain()
    assert [outcome.legs[0].repeated for outcome in outcomes] == [False, True, True, True]
    assert placed_frames(gateway) == 3


def test_a_refused_entry_leaves_nothing_behind(owner: Owner, gateway: EmbeddedGateway, desk: WatchedDesk) -> None:
    gateway.fault("reject", times=3)
    owner.broker.place(bracket(owner.broker))
    owner.broker.drain()
    assert sum(live(gateway, "G1").values()) == 0
    assert desk.refs(types.OrderMessage) >= {"G1-E"}


# The black hole


@pytest.fixture
def running(state: Any, settings: Any) -> Iterator[EmbeddedGateway]:
    """A gateway whose clock runs."""
    with EmbeddedGateway(store_path=state / "paper.sqlite3") as gateway:
        settings.AUTOTRADER_BROKER_PORT = gateway.port
        yield gateway


@pytest.mark.crash  # ten seconds, so once for both databases
def test_a_black_hole_is_known_within_fifteen_seconds(
    running: EmbeddedGateway, desk: WatchedDesk, start: Callable[..., Owner]
) -> None:
    owner = start(Place())
    running.fault("black_hole")
    eventually(lambda: not owner.broker.status().connected)
    with pytest.raises(BrokerUnavailable):
        owner.broker.positions()
    running.heal()
    come_back(owner)
