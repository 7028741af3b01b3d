"""Orders over REST and a real gateway's socket: placed, filled, changed, cancelled and closed, each once a key."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from autotrader.core import audit
from autotrader.core.audit.verify import verify_chain
from autotrader.core.users.models import User
from broker import types
from broker.gates import halt_set
from broker.remote import RemoteBroker
from tests.api.asking import Asker, program, someone
from tests.desk.conftest import Desk, bars_folder, build_strategy, open_desk
from tests.desk.conftest import desk as desk
from tests.support import in_threads
from trading.models import Approval, Dispatch, Instrument, Order, OrderChange, OrderRequest, RiskProfile, RiskVerdict
from trading.models.request import RequestKind
from trading.services.request_rows import Asked, request_receive
from trading.services.requests import _place, order_request
from trading.services.strategies import risk_profile_save
from trading.workflow import lanes

__all__ = ["bars_folder", "desk", "open_desk"]
# What the services below do with a request is tried on both databases in tests/trading.
pytestmark = pytest.mark.once


class Api:
    """A person with permissions, who sends JSON with a key."""

    def __init__(self, *permissions: str) -> None:
        self.client = Client()
        user = User.objects.create_user(f"p{User.objects.count()}", password="x")
        names = [name.partition(".")[2] for name in permissions]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        self.client.force_login(user)
        self.count = 0

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        self.count += 1
        headers = {"Idempotency-Key": f"k{self.count}" if key is None else key}
        data = body if isinstance(body, (str, bytes)) else json.dumps(body or {})
        return self.client.post(f"/api/orders/{path}", data, content_type="application/json", headers=headers)


@pytest.fixture
def api(transactional_db: None) -> Api:
    return Api("trading.request_order", "trading.view_order")


def price_of(desk: Desk, symbol: str) -> Decimal:
    contract = desk.market.broker.contracts(types.ContractQuery(symbol))[0]
    ask = desk.market.broker.quote(types.ConId(contract.con_id)).ask
    assert ask is not None
    return ask


def entry(desk: Desk, symbol: str = "RISE", **changes: Any) -> dict[str, Any]:
    """A buy that every control of the desk's own limits allows."""
    Instrument.objects.get_or_create(symbol=symbol)
    if not RiskProfile.objects.filter(is_desk=True).exists():
        risk_profile_save(RiskProfile(name="desk", is_desk=True), actor="test")
    ask = price_of(desk, symbol)
    prices = {
        "limit_price": ask * Decimal("1.002"),
        "stop_price": ask * Decimal("0.95"),
        "target_price": ask * Decimal("1.08"),
    }
    body: dict[str, Any] = {"symbol": symbol, "side": "BUY", "quantity": 10, "order_type": "LMT", "purpose": "entry"}
    return body | {name: str(round(price, 2)) for name, price in prices.items()} | changes


def legs_of() -> dict[str, Order]:
    return {order.role: order for order in Order.objects.select_related("parent")}


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.both
def test_an_entry_is_placed_filled_moved_and_closed(desk: Desk, api: Api) -> None:
    placed = api.post("place", entry(desk))
    told = placed.json()
    assert placed.status_code == 201, told
    assert (told["status"], told["state"], len(told["orders"])) == ("ACCEPTED", "ACCEPTED", 3)
    assert desk.frames("placeOrder") == 3
    assert RiskVerdict.objects.filter(request=told["request"], allowed=True).count() > 10
    desk.next_day()
    target, stop = legs_of()["target"], legs_of()["stop"]
    assert legs_of()["entry"].state == "FILLED"

    new = str(target.limit_price + 1)  # type: ignore[operator]
    assert api.post(f"{target.order_ref}/modify", {"limit_price": new}).status_code == 201
    nearer = str(stop.stop_price + 1)  # type: ignore[operator]
    assert api.post(f"{stop.order_ref}/modify", {"stop_price": nearer}).status_code == 201
    desk.market.broker.drain()
    assert set(OrderChange.objects.values_list("state", flat=True)) == {"ACKED"}
    assert (legs_of()["target"].limit_price, legs_of()["stop"].stop_price) == (Decimal(new), Decimal(nearer))

    exit_body = {"symbol": "RISE", "side": "SELL", "quantity": 10, "order_type": "MKT", "purpose": "exit"}
    closed = api.post("place", exit_body)
    assert closed.status_code == 201, closed.json()
    desk.next_day()
    assert [row for row in desk.market.broker.positions() if row.quantity] == []
    assert desk.market.broker.open_orders() == ()
    assert code_of(api.post("place", exit_body)) == (422, "WOULD_INCREASE")
    assert verify_chain().ok


def test_an_entry_at_the_market_leaves_with_its_bracket(desk: Desk, api: Api) -> None:
    body = entry(desk, order_type="MKT")
    del body["limit_price"]
    assert api.post("place", body).status_code == 201
    desk.next_day()
    assert {role: order.state for role, order in legs_of().items()} == {
        "entry": "FILLED",
        "stop": "ACCEPTED",
        "target": "ACCEPTED",
    }
    assert legs_of()["entry"].order_type == "MKT"


def test_a_working_entry_is_changed_and_cancelled_with_its_legs(desk: Desk, api: Api) -> None:
    # GAPS never comes back to this price, so that the entry works on.
    assert api.post("place", entry(desk, "GAPS")).status_code == 201
    order = legs_of()["entry"]
    lower = str(order.limit_price - 1)  # type: ignore[operator]
    assert api.post(f"{order.order_ref}/modify", {"limit_price": lower}).status_code == 201
    desk.market.broker.drain()
    assert legs_of()["entry"].limit_price == Decimal(lower)
    far = str(order.limit_price * 2)  # type: ignore[operator]
    for body, status, code in [
        ({"limit_price": far}, 422, "OUTSIDE_COLLAR"),
        ({"limit_price": lower}, 422, "NOTHING_CHANGES"),
        ({"limit_price": "99.001"}, 422, "OFF_TICK"),
        ({"stop_price": "1"}, 422, "INVALID"),
        ({"quantity": 5}, 422, "INVALID"),
    ]:
        assert code_of(api.post(f"{order.order_ref}/modify", body)) == (status, code), body
    assert code_of(api.post(f"{legs_of()['stop'].order_ref}/cancel")) == (409, "ENTRY_WORKING")

    before = desk.frames("cancelOrder")
    ended = api.post(f"{order.order_ref}/cancel", {"reason": "enough"}, key="once")
    assert (ended.status_code, ended.json()["status"]) == (201, "CANCELLED")
    again = api.post(f"{order.order_ref}/cancel", {"reason": "enough"}, key="once")
    assert (again.status_code, again.json()["request"]) == (201, ended.json()["request"])
    assert desk.frames("cancelOrder") == before + 1
    desk.market.broker.drain()
    assert {row.state for row in legs_of().values()} == {"CANCELLED"}
    assert OrderChange.objects.get(kind="cancel").state == "ACKED"
    assert code_of(api.post(f"{order.order_ref}/cancel")) == (409, "ORDER_ENDED")


def test_the_stop_of_a_position_stays_unless_forced(desk: Desk, api: Api) -> None:
    assert api.post("place", entry(desk)).status_code == 201
    desk.next_day()
    stop = legs_of()["stop"]
    path = f"{stop.order_ref}/cancel"
    assert code_of(api.post(path)) == (409, "PROTECTS_POSITION")
    assert code_of(api.post(path, {"force": True})) == (422, "INVALID")
    assert code_of(api.post(path, {"force": True, "reason": "I know"})) == (409, "MAY_NOT_UNPROTECT")
    away = str(round(stop.stop_price / 2, 2))  # type: ignore[operator]
    RiskProfile.objects.filter(is_desk=True).update(risk_per_trade=Decimal("0.0001"))
    for body, code in [
        ({"stop_price": away}, "STOP_TOO_FAR"),
        ({"stop_price": str(round(stop.stop_price * 2, 2))}, "STOP_WOULD_TRIGGER"),  # type: ignore[operator]
        ({"quantity": 5}, "NOT_COVERED"),
        ({"quantity": 20}, "WOULD_INCREASE"),
    ]:
        assert code_of(api.post(f"{stop.order_ref}/modify", body)) == (422, code), body
    assert not OrderChange.objects.exists()
    boss = Api("trading.request_order", "trading.remove_protection")
    assert boss.post(path, {"force": True, "reason": "I know"}).json()["status"] == "CANCELLED"


@pytest.mark.both
def test_fifty_at_once_with_one_key_are_one_order(desk: Desk, api: Api) -> None:
    body = entry(desk)
    answers = in_threads([lambda: api.post("place", body, key="one")] * 50, threads=10)
    assert {answer.status_code for answer in answers} <= {201, 202}
    assert len({answer.json()["request"] for answer in answers}) == 1
    assert (Order.objects.filter(role="entry").count(), desk.frames("placeOrder")) == (1, 3)
    desk.market.broker.drain()
    again = api.post("place", body, key="one").json()
    assert (again["status"], again["order_ref"]) == ("ACCEPTED", legs_of()["entry"].order_ref)
    assert code_of(api.post("place", body | {"quantity": 11}, key="one")) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert Order.objects.filter(role="entry").count() == 1


@pytest.mark.both
def test_of_two_equal_orders_at_once_one_leaves(desk: Desk, api: Api) -> None:
    body = entry(desk)
    answers = in_threads([lambda key=key: api.post("place", body, key=key) for key in ("a", "b")], threads=2)
    assert sorted(answer.status_code for answer in answers)[0] == 201
    assert (Order.objects.filter(role="entry").count(), desk.frames("placeOrder")) == (1, 3)
    refused = next(answer for answer in answers if answer.status_code != 201)
    assert refused.json()["error"]["code"] in {"DUPLICATE_ORDER", "NO_ROOM_LEFT", "ENTRY_WORKING"}, refused.json()


def test_a_second_entry_beside_the_first_is_refused_in_words(desk: Desk, api: Api) -> None:
    resting = {"limit_price": str(round(price_of(desk, "RISE") * Decimal("0.995"), 2))}
    assert api.post("place", entry(desk, **resting), key="one").status_code == 201
    refused = api.post("place", entry(desk, quantity=11, **resting), key="two").json()["error"]
    assert (refused["code"], refused["message"]) == ("NO_ROOM_LEFT", "An entry in RISE is already at work.")


def test_a_preview_says_everything_and_places_nothing(desk: Desk, api: Api, settings: Any) -> None:
    said = api.post("preview", entry(desk))
    told = said.json()
    assert (said.status_code, told["allowed"], told["approval"]) == (200, True, None)
    assert len(told["verdicts"]) > 10
    assert told["what_if"]["available"] is True
    assert [leg["role"] for leg in told["terms"]["legs"]] == ["entry", "stop", "target"]
    big = api.post("preview", entry(desk, quantity=9000)).json()
    assert big["allowed"] is False
    assert (Order.objects.count(), OrderRequest.objects.count(), desk.frames("placeOrder")) == (0, 0, 1 + 1)

    settings.ORDERS_ENABLED = False
    assert api.post("place", entry(desk)).json()["status"] == "SIMULATED"
    assert desk.frames("placeOrder") == 1 + 1


def test_what_is_refused_is_kept_with_every_control_s_word(desk: Desk, api: Api) -> None:
    body = entry(desk)
    for changes, status, code in [
        ({"quantity": 9000}, 422, "VALUE_TOO_LARGE"),
        ({"quantity": "0.5"}, 422, "OFF_LOT"),
        ({"limit_price": "99.001"}, 422, "OFF_TICK"),
        ({"symbol": "NOSUCH"}, 422, "UNKNOWN_CONTRACT"),
        ({"account": "U7654321"}, 422, "UNKNOWN_ACCOUNT"),
        ({"strategy": "nobody"}, 422, "UNKNOWN_STRATEGY"),
        ({"side": "SELL"}, 422, "SHORT_NOT_ALLOWED"),
        ({"quantity": "NaN"}, 422, "INVALID"),
        ({"quantity": 1e30}, 422, "INVALID"),
        ({"stop_price": None}, 422, "INVALID"),
    ]:
        answer = api.post("place", body | changes)
        kept = OrderRequest.objects.latest("id")
        codes = {reason["code"] for reason in kept.details.get("reasons", [])} | {kept.code}
        assert (answer.status_code, code in codes) == (status, True), (changes, answer.json())
        assert (kept.state, kept.correlation_id) == ("REFUSED", answer.json()["error"]["correlation_id"])
    refused = RiskVerdict.objects.filter(request__isnull=False)
    assert refused.filter(allowed=True).exists()
    assert refused.filter(allowed=False).exists()
    assert (Order.objects.count(), desk.frames("placeOrder")) == (0, 0)
    assert verify_chain().ok


def test_what_is_no_request_leaves_nothing(desk: Desk, api: Api) -> None:
    for body, status in [
        (b'{"colour": "red"}', 422),
        (b"{", 400),
        (b'{"quantity": NaN}', 400),
        (b'{"side": "BUY", "side": "SELL"}', 400),
        (b'{"reason": "' + b"x" * 1_000_000 + b'"}', 413),
        ({"reason": "\x00"}, 400),
        (b'{"reason": "\\ud800"}', 400),
    ]:
        assert api.post("place", body).status_code == status, str(body)[:40]
    assert code_of(api.post("place", {}, key="")) == (400, "IDEMPOTENCY_KEY_MISSING")
    assert code_of(api.post("NOSUCH-E/cancel")) == (404, "UNKNOWN_ORDER")
    assert code_of(api.post("NOSUCH-E/modify", {"limit_price": 1})) == (404, "UNKNOWN_ORDER")
    assert api.client.get("/api/orders/NOSUCH-E/status").status_code == 404
    assert set(OrderRequest.objects.values_list("kind", flat=True)) == {"cancel", "modify"}


def test_only_whom_it_is_allowed_may_ask(desk: Desk, api: Api) -> None:
    body = entry(desk)
    assert code_of(Api("trading.view_order").post("place", body)) == (403, "NOT_ALLOWED")
    stranger = Api()
    stranger.client.logout()
    assert code_of(stranger.post("place", body)) == (401, "NOT_AUTHENTICATED")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("boss", password="x"))
    said = strict.post("/api/orders/place", json.dumps(body), content_type="application/json")
    assert code_of(said) == (403, "NOT_ALLOWED")
    assert api.client.get("/api/orders/place").status_code in (403, 405)
    assert not OrderRequest.objects.exists()


def test_an_order_above_a_value_waits_for_a_person_and_can_be_taken_back(desk: Desk, api: Api) -> None:
    body = entry(desk) | {"reason": "a hedge for Friday"}
    RiskProfile.objects.filter(is_desk=True).update(approval_above_value=Decimal(1))
    said = api.post("place", body)
    told = said.json()
    assert Approval.objects.get().rationale == "a hedge for Friday"  # who approves sees why it was asked for
    assert (said.status_code, told["status"], told["approval"]) == (202, "PENDING_APPROVAL", Approval.objects.get().pk)
    assert desk.frames("placeOrder") == 1  # what it would cost was asked
    ended = api.post(f"{told['order_ref']}/cancel", {"reason": "not now"})
    assert (ended.status_code, ended.json()["status"]) == (201, "REFUSED")
    assert Approval.objects.get().state == "VOID"
    assert {order.state for order in Order.objects.all()} == {"REFUSED"}


def test_a_cancel_passes_a_halt_and_no_order_does(desk: Desk, api: Api, settings: Any, tmp_path: Path) -> None:
    assert api.post("place", entry(desk, "GAPS")).status_code == 201
    order = legs_of()["entry"]
    settings.ORDERS_ENABLED = False
    lower = str(order.limit_price - 1)  # type: ignore[operator]
    assert code_of(api.post(f"{order.order_ref}/modify", {"limit_price": lower})) == (403, "ORDERS_DISABLED")
    assert code_of(api.post(f"{order.order_ref}/cancel")) == (403, "ORDERS_DISABLED")
    settings.ORDERS_ENABLED = True
    settings.AUTOTRADER_STATE_DIR = tmp_path
    halt_set("HALTED", actor="test", reason="a test of cancels")
    assert code_of(api.post(f"{order.order_ref}/modify", {"limit_price": lower})) == (403, "HALTED")
    assert code_of(api.post("place", entry(desk, quantity=11))) == (403, "HALTED")
    assert api.post(f"{order.order_ref}/cancel").json()["status"] == "CANCELLED"


def test_the_same_key_is_heard_anew_once_the_broker_is_back(desk: Desk, api: Api) -> None:
    body = entry(desk)
    away = RemoteBroker("http://127.0.0.1:1", "secret")
    asked: dict[str, Any] = {"client": "user:p", "key": "again", "body": body, "actor": "p"}
    first = order_request(**asked, broker=away)
    assert (first.state, first.status, first.code) == ("RECEIVED", 503, "BROKER_UNAVAILABLE")
    second = order_request(**asked, broker=desk.market.broker)
    assert (second.request, second.state, len(second.orders)) == (first.request, "ACCEPTED", 3)
    desk.market.broker.drain()
    again = order_request(**asked, broker=away)
    assert (again.request, again.state) == (second.request, second.state)
    assert [line.order_ref for line in again.orders] == [line.order_ref for line in second.orders]
    assert desk.frames("placeOrder") == 3


def test_a_person_closes_what_a_strategy_holds(desk: Desk, api: Api) -> None:
    entry(desk)
    desk.run(build_strategy("mine", ["RISE"]))
    desk.next_day()
    held = legs_of()["entry"]
    body = {"strategy": "mine", "symbol": "RISE", "side": "SELL", "order_type": "MKT", "purpose": "exit"}
    closed = api.post("place", body | {"quantity": str(held.filled_quantity)})
    assert closed.status_code == 201, closed.json()
    change = OrderChange.objects.get()
    assert (change.order.role, change.request_id) == ("target", closed.json()["request"])
    desk.next_day()
    assert [row for row in desk.market.broker.positions() if row.quantity] == []
    assert legs_of()["stop"].state == "CANCELLED"


def test_nobody_is_there_to_ask(api: Api, settings: Any, tmp_path: Path) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path
    said = api.post("place", {"symbol": "AAPL"})
    assert (said.status_code, said["Retry-After"]) == (503, "1")
    assert code_of(said)[1] == "BROKER_UNAVAILABLE"
    assert not OrderRequest.objects.exists()


@pytest.mark.both
def test_a_worker_sends_what_a_process_that_died_had_accepted(desk: Desk, api: Api) -> None:
    request, _ = request_receive(Asked("user:p", "dead", "p", RequestKind.PLACE, entry(desk)))
    with audit.acting(correlation_id=request.correlation_id):
        _place(request, desk.market.broker)  # what it gives back sends the order, and is never called
    assert (Dispatch.objects.get().state, Order.objects.count()) == ("QUEUED", 0)
    lanes.work("now")
    lanes.work("now")
    assert (Dispatch.objects.get().outcome, desk.frames("placeOrder")) == ("ordered", 3)
    desk.market.broker.drain()
    assert {order.state for order in Order.objects.filter(request=request)} == {"ACCEPTED"}


ORDER = ("trading.request_order", "trading.view_order")


def test_what_a_key_may_only_propose_waits_for_a_person(desk: Desk, transactional_db: None) -> None:
    robot = program("rob", *ORDER, scopes=("propose", "read"))
    body = entry(desk)
    preview = robot.post("orders/preview", body)
    assert preview.json()["approval"] == {"cause": "scope", "persons": 1}
    said = robot.post("orders/place", body, key="one")
    told = said.json()
    assert (said.status_code, told["status"]) == (202, "PENDING_APPROVAL"), told
    assert told["correlation_id"] == said["X-Correlation-Id"]
    approval = Approval.objects.get()
    assert (approval.cause, approval.needed) == (f"key:{robot.prefix}", 1)
    assert approval.requested_by == f"rob by key {robot.prefix}"
    request = OrderRequest.objects.get()
    assert (request.client, request.must_be_approved) == (f"key:{robot.prefix}", True)
    assert desk.frames("placeOrder") == 2  # what it would cost was asked twice

    boss = someone("boss", "trading.approve_order", "trading.view_approval", *ORDER)
    yes = boss.post(f"approvals/{approval.pk}/approve", {"digest": approval.digest, "reason": "fine"})
    assert yes.json()["state"] == "APPROVED", yes.json()
    lanes.work("now")
    desk.market.broker.drain()
    assert {order.state for order in Order.objects.all()} == {"ACCEPTED"}
    working = legs_of()["entry"]
    refused = [
        robot.post(f"orders/{working.order_ref}/modify", {"limit_price": "99.00"}),
        robot.post(f"orders/{working.order_ref}/cancel"),
    ]
    assert [code_of(answer) for answer in refused] == [(403, "SCOPE_MISSING")] * 2
    assert legs_of()["entry"].state == "ACCEPTED"


def test_a_key_takes_back_its_own_proposal_and_no_other(desk: Desk, transactional_db: None) -> None:
    robot = program("rob", *ORDER, scopes=("propose",))
    told = robot.post("orders/place", entry(desk)).json()
    other = program("oda", *ORDER, scopes=("propose",))
    assert code_of(other.post(f"orders/{told['order_ref']}/cancel")) == (403, "SCOPE_MISSING")
    assert Approval.objects.get().state == "PENDING"
    ended = robot.post(f"orders/{told['order_ref']}/cancel", {"reason": "not now"})
    assert (ended.status_code, ended.json()["status"]) == (201, "REFUSED")
    assert Approval.objects.get().state == "VOID"


@pytest.mark.both
def test_a_limited_key_orders_sees_and_ends_only_what_is_its_own(desk: Desk, transactional_db: None) -> None:
    body = entry(desk, "GAPS")
    mine, other = build_strategy("mine", ["GAPS"]), build_strategy("other", ["RISE"])
    robot = program("rob", *ORDER, scopes=("trade", "read"), strategies=(mine.pk,), accounts=(desk.account,))
    elsewhere = program("eva", *ORDER, scopes=("trade", "read"), accounts=("DU9999999",))
    for asker, changes in [
        (robot, {}),
        (robot, {"strategy": "other"}),
        (robot, {"strategy": "nobody"}),
        (robot, {"strategy": "mine", "account": "DU9999999"}),
        (elsewhere, {}),
        (elsewhere, {"account": "DU9999999"}),
    ]:
        for path in ("place", "preview"):
            assert code_of(asker.post(f"orders/{path}", body | changes)) == (403, "KEY_LIMITED"), (path, changes)
    assert (Order.objects.count(), desk.frames("placeOrder")) == (0, 0)
    kept = OrderRequest.objects.first()
    assert kept is not None
    assert (kept.state, kept.code) == ("REFUSED", "KEY_LIMITED")

    placed = robot.post("orders/place", body | {"strategy": "mine"})
    assert placed.status_code == 201, placed.json()
    ref = placed.json()["order_ref"]
    assert robot.get(f"orders/{ref}/status").json()["status"] == "ACCEPTED"
    _is_hidden(elsewhere, ref)
    _is_hidden(program("sam", *ORDER, scopes=("trade", "read"), strategies=(other.pk,)), ref)
    assert robot.post(f"orders/{ref}/cancel").json()["status"] == "CANCELLED"


def _is_hidden(asker: Asker, ref: str) -> None:
    answers = [
        asker.get(f"orders/{ref}/status"),
        asker.post(f"orders/{ref}/cancel"),
        asker.post(f"orders/{ref}/modify", {"limit_price": "99.00"}),
    ]
    assert [code_of(answer) for answer in answers] == [(403, "KEY_LIMITED")] * 3
    assert legs_of()["entry"].state == "ACCEPTED"
