"""Discrepancies over REST: seen by those who may, resolved by a person's word, once."""

from __future__ import annotations

import pytest

from broker import types
from tests.api.asking import Asker, code_of, program, someone
from tests.trading.builders import ACCOUNT, CON_IDS, NOW, D, bought, deliver, strategy
from trading.models import Discrepancy, Order

VIEW, RESOLVE = "trading.view_discrepancy", "trading.resolve_discrepancy"


@pytest.fixture
def differing(db: None) -> Discrepancy:
    bought()
    deliver(types.PositionMismatch(ACCOUNT, CON_IDS["AAPL"], "AAPL", D(4), D(10), NOW))
    return Discrepancy.objects.get()


@pytest.fixture
def ann(db: None) -> Asker:
    return someone("ann", VIEW, RESOLVE)


def test_what_differs_is_listed_with_what_can_be_done(ann: Asker, differing: Discrepancy) -> None:
    listed = ann.get("discrepancies?state=OPEN&kind=position&blocking=true").json()["results"]
    assert [(row["id"], row["symbol"], row["remedies"]) for row in listed] == [
        (differing.pk, "AAPL", ["adjust", "leave"])
    ]
    assert ann.get(f"discrepancies/{differing.pk}").json() == listed[0]
    assert ann.get("discrepancies?state=RESOLVED").json()["results"] == []
    assert code_of(ann.get("discrepancies/999999")) == (404, "UNKNOWN_DISCREPANCY")


def test_a_person_resolves_it_once(ann: Asker, differing: Discrepancy) -> None:
    path = f"discrepancies/{differing.pk}/resolve"
    said = {"remedy": "leave", "reason": "seen by phone", "version": differing.version}
    for changes, code in [
        ({"reason": "x"}, (422, "INVALID")),
        ({"remedy": "accept"}, (422, "NO_SUCH_REMEDY")),
        ({"remedy": "shrug"}, (422, "INVALID")),
        ({"version": differing.version + 1}, (409, "CONFLICT")),
    ]:
        assert code_of(ann.post(path, said | changes)) == code, changes
    done = ann.post(path, said, key="once")
    assert (done.status_code, done.json()["state"], done.json()["resolved_by"]) == (200, "RESOLVED", "ann")
    assert ann.post(path, said, key="once").json() == done.json()
    assert code_of(ann.post(path, said)) == (409, "ALREADY_RESOLVED")


def test_an_adjustment_goes_to_a_strategy_that_holds_it(ann: Asker, differing: Discrepancy) -> None:
    path = f"discrepancies/{differing.pk}/resolve"
    said = {"remedy": "adjust", "reason": "sold by hand", "version": differing.version, "price": "101.5"}
    other = strategy("other")
    for changes, code in [
        ({"strategy": other.pk}, "NO_SUCH_HOLDER"),
        ({"strategy": 999999}, "NO_SUCH_HOLDER"),
        ({"price": "0"}, "INVALID"),
        ({"price": "NaN"}, "INVALID"),
    ]:
        assert code_of(ann.post(path, said | changes)) == (422, code), changes
    holder = Order.objects.get(role="entry").strategy
    assert holder is not None
    assert ann.post(path, said | {"strategy": holder.pk}).json()["state"] == "RESOLVED"
    assert Order.objects.get(order_ref=f"ADJ{differing.pk}").strategy == holder


def test_no_key_resolves_and_a_limited_one_sees_its_account(differing: Discrepancy) -> None:
    path = f"discrepancies/{differing.pk}"
    said = {"remedy": "leave", "reason": "seen by phone", "version": differing.version}
    robot = program("rob", VIEW, RESOLVE, scopes=("read", "admin"), accounts=(ACCOUNT,))
    assert len(robot.get("discrepancies").json()["results"]) == 1
    assert robot.get(path).status_code == 200
    assert code_of(robot.post(f"{path}/resolve", said)) == (403, "PERSON_NEEDED")
    other = program("oda", VIEW, scopes=("read",), accounts=("DU9",))
    assert other.get("discrepancies").json()["results"] == []
    assert code_of(other.get(path)) == (403, "KEY_LIMITED")
    by_strategy = program("sam", VIEW, scopes=("read",), strategies=(strategy("own").pk,))
    assert code_of(by_strategy.get("discrepancies")) == (403, "KEY_LIMITED")
    assert code_of(someone("vic", VIEW).post(f"{path}/resolve", said)) == (403, "NOT_ALLOWED")
