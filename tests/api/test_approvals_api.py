"""Approvals and the halt over REST: a person's word and a person's release, listed for what may see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotrader.core.clock import system_now
from autotrader.core.rest.idempotency import LEASE
from autotrader.core.rest.models import KeptAnswer
from broker.gates import halt_reading
from tests.api.asking import code_of, program, someone
from tests.trading.asking import asked
from tests.trading.builders import ACCOUNT, strategy
from trading.models import ApprovalVote
from trading.models.strategy import Mode

pytestmark = pytest.mark.django_db
VIEW, APPROVE = "trading.view_approval", "trading.approve_order"


@pytest.fixture(autouse=True)
def state(settings: Any, tmp_path: Path) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path


def test_no_key_gives_a_person_s_word() -> None:
    approval = asked()
    robot = program("rob", VIEW, APPROVE, scopes=("read", "admin", "trade"))
    for word in ("approve", "reject"):
        said = robot.post(f"approvals/{approval.pk}/{word}", {"digest": approval.digest, "reason": "sure"})
        assert code_of(said) == (403, "PERSON_NEEDED")
    assert not ApprovalVote.objects.exists()
    assert robot.get(f"approvals/{approval.pk}").json()["digest"] == approval.digest


def test_a_limited_key_sees_its_own() -> None:
    mine, other = strategy("mine", mode=Mode.APPROVE), strategy("other", ("IBM",), mode=Mode.APPROVE)
    approval = asked(mine)
    cases: list[dict[str, Any]] = [
        {},
        {"strategies": (mine.pk,)},
        {"strategies": (other.pk,)},
        {"accounts": (ACCOUNT,)},
        {"accounts": ("X",)},
    ]
    told = []
    for number, limits in enumerate(cases):
        robot = program(f"p{number}", VIEW, scopes=("read",), **limits)
        told.append(len(robot.get("approvals").json()["results"]))
    assert told == [1, 1, 0, 1, 0]
    stranger = program("sue", VIEW, scopes=("read",), strategies=(other.pk,))
    assert code_of(stranger.get(f"approvals/{approval.pk}")) == (403, "KEY_LIMITED")


def test_a_word_that_was_heard_by_a_process_that_died_is_told_as_heard() -> None:
    approval, ann = asked(), someone("ann", APPROVE)
    path, no = f"approvals/{approval.pk}/reject", {"digest": approval.digest, "reason": "too late"}
    first = ann.post(path, no, key="one")
    assert (first.status_code, first.json()["state"]) == (200, "REJECTED")
    KeptAnswer.objects.update(status=0, body="", created_at=system_now() - LEASE)
    again = ann.post(path, no, key="one")
    assert (again.status_code, again.json()) == (200, first.json())
    assert ApprovalVote.objects.count() == 1
    assert code_of(ann.post(path, no, key="two")) == (409, "APPROVAL_REJECTED")
    KeptAnswer.objects.filter(key="two").update(status=0, body="", created_at=system_now() - LEASE)
    ApprovalVote.objects.update(approve=True)
    assert code_of(ann.post(path, no, key="two")) == (409, "APPROVAL_REJECTED")


@pytest.mark.django_db(transaction=True)
def test_a_key_halts_and_only_a_person_releases() -> None:
    rights = ("trading.halt_trading", "trading.release_trading")
    robot = program("rob", *rights, scopes=("halt", "admin", "read"), accounts=("DU9",))
    body = {"reason": "strange fills", "cancel": "none"}
    told = robot.post("halt", body, key="")
    assert (told.status_code, told.json()["state"], told.json()["actor"]) == (
        200,
        "HALTED",
        f"rob by key {robot.prefix}",
    )
    said = {"reason": "it is over", "seen": told.json()["seen"]}
    assert code_of(robot.post("halt/release", said)) == (403, "PERSON_NEEDED")
    ann = someone("ann", *rights)
    # Which orders there are is for those who may see them all.
    assert (told.json()["working"], told.json()["kept"], robot.get("halt").json()["working"]) == (None, None, None)
    assert ann.get("halt").json()["working"] == []
    assert code_of(ann.post("halt/release", said, key="")) == (400, "IDEMPOTENCY_KEY_MISSING")
    assert ann.post("halt/release", said).json()["state"] == "ACTIVE"
    reader = program("ria", *rights, scopes=("read",))
    assert code_of(reader.post("halt", body)) == (403, "SCOPE_MISSING")


@pytest.mark.django_db(transaction=True)
def test_a_halt_is_never_answered_from_memory() -> None:
    ann = someone("ann", "trading.halt_trading", "trading.release_trading")
    body = {"reason": "strange fills", "cancel": "none"}
    first = ann.post("halt", body, key="fixed").json()
    assert ann.post("halt/release", {"reason": "it is over", "seen": first["seen"]}).json()["state"] == "ACTIVE"
    again = ann.post("halt", body, key="fixed")
    assert (again.status_code, again.json()["state"], halt_reading().state.value) == (200, "HALTED", "HALTED")
    assert again.json()["seen"] != first["seen"]


@pytest.mark.django_db(transaction=True)
def test_a_release_that_is_done_again_after_a_death_leaves_a_newer_halt_alone() -> None:
    ann = someone("ann", "trading.halt_trading", "trading.release_trading")
    body = {"reason": "strange fills", "cancel": "none"}
    said = {"reason": "it is over", "seen": ann.post("halt", body).json()["seen"]}
    for blind in ({"reason": "it is over"}, {**said, "seen": ""}):
        assert code_of(ann.post("halt/release", blind)) == (422, "INVALID")
    assert ann.post("halt/release", said, key="r").json()["state"] == "ACTIVE"
    # As it is where the process has died before the answer was kept.
    KeptAnswer.objects.update(status=0, body="", created_at=system_now() - LEASE)
    ann.post("halt", body)
    assert code_of(ann.post("halt/release", said, key="r")) == (409, "HALT_CHANGED")
    assert halt_reading().state.value == "HALTED"


def test_who_may_not_remove_protection_halts_and_leaves_positions_their_stops() -> None:
    halts, protection = "trading.halt_trading", "trading.remove_protection"
    body = {"reason": "all out", "cancel": "all"}
    for caller, kept in (
        (program("rob", halts, scopes=("halt",)), True),
        (program("rae", halts, protection, scopes=("halt",)), True),
        (someone("ann", halts), True),
        (program("ray", halts, protection, scopes=("halt", "admin")), False),
        (someone("fay", halts, protection), False),
    ):
        told = caller.post("halt", body).json()
        assert (told["state"], told["done"], "Only entries" in told["problem"]) == ("HALTED", False, kept)
        assert (halt_reading().cancel == "all") is not kept
