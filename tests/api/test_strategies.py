"""Strategies, workflows, instruments and limits over REST: what is set up, and changed over what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from autotrader.core import audit
from autotrader.core.audit.models import Event
from tests.api.asking import Asker, code_of, program, someone
from tests.trading.builders import instrument, published, strategy
from trading.models import RiskProfile, Strategy
from trading.services.strategy_settings import LOOSEN_PERMISSION
from trading.services.suspensions import strategy_suspend
from trading.services.workflows import workflow_version_add

pytestmark = pytest.mark.django_db
ALL = tuple(f"trading.{verb}_strategy" for verb in ("view", "add", "change", "resume"))
SETTINGS = ("trading.view_workflow", "trading.view_instrument", "trading.view_riskprofile")


@pytest.fixture
def ann() -> Asker:
    return someone("ann", *ALL, *SETTINGS, LOOSEN_PERMISSION)


def new(**changes: Any) -> dict[str, Any]:
    body = {
        "name": "trend",
        "workflow_version": published().pk,
        "risk_profile": RiskProfile.objects.get_or_create(name="careful")[0].pk,
        "instruments": [instrument().pk],
        "parameters": {"period_1": "2 Y", "bar_1": "1 day"},
    }
    return body | changes


def test_a_strategy_is_set_up_once_a_key_and_found_again(ann: Asker) -> None:
    body = new()
    made = ann.post("strategies", body, key="one")
    assert (made.status_code, made["ETag"]) == (201, '"1"')
    again = ann.post("strategies", body, key="one")
    assert (again.json(), again["Idempotent-Replayed"], again["ETag"]) == (made.json(), "true", '"1"')
    row = Strategy.objects.get()
    assert (row.name, row.mode, [one.symbol for one in row.instruments.all()]) == ("trend", "auto", ["AAPL"])
    assert Event.objects.get(type="STRATEGY_CHANGED").actor == "ann"
    listed = ann.get("strategies?enabled=true&mode=auto").json()
    assert (listed["results"], listed["next"]) == ([made.json()], None)
    assert ann.get("strategies?enabled=false").json()["results"] == []
    assert ann.get(f"strategies/{row.pk}").json() == made.json()


def test_who_sets_up_strategies_does_not_loosen_what_guards_them() -> None:
    operator = someone("oscar", *ALL)
    for changes in ({}, {"mode": "auto"}, {"mode": "shadow", "allow_short": True}):
        assert code_of(operator.post("strategies", new(**changes))) == (403, "RISK_MANAGER_NEEDED")
    assert not Strategy.objects.exists()
    made = operator.post("strategies", new(mode="approve"))
    assert made.status_code == 201
    row = Strategy.objects.get()
    other = RiskProfile.objects.create(name="wild").pk
    for field, value in (("mode", "auto"), ("allow_short", True), ("risk_profile", other)):
        said = operator.send("patch", f"strategies/{row.pk}", {"version": 1, field: value})
        assert (*code_of(said), said.json()["error"]["details"]["field"]) == (403, "RISK_MANAGER_NEEDED", field)
    assert (
        operator.send("patch", f"strategies/{row.pk}", {"version": 1, "mode": "shadow", "priority": 3}).status_code
        == 200
    )
    manager = someone("rita", *ALL, LOOSEN_PERMISSION)
    assert manager.send("patch", f"strategies/{row.pk}", {"version": 2, "mode": "auto"}).status_code == 200
    assert operator.send("patch", f"strategies/{row.pk}", {"version": 3, "mode": "approve"}).status_code == 200


def test_what_cannot_run_is_refused_by_its_field(ann: Asker) -> None:
    strategy("taken")
    draft = workflow_version_add(published().workflow, [{"name": "check_session"}])
    for changes, field in [
        ({"name": "taken"}, "name"),
        ({"name": ""}, "name"),
        ({"workflow_version": draft.pk}, "workflow_version"),
        ({"workflow_version": 10**6}, "workflow_version"),
        ({"workflow_version": 10**30}, "workflow_version"),
        ({"risk_profile": "x"}, "risk_profile"),
        ({"instruments": []}, "instruments"),
        ({"instruments": [10**6]}, "instruments"),
        ({"parameters": {"period 1": "x"}}, "parameters"),
        ({"parameters": []}, "parameters"),
        ({"mode": "yolo"}, "mode"),
        ({"priority": 10**6}, "priority"),
        ({"interval_seconds": -1}, "interval_seconds"),
        ({"version": 3}, "version"),
        ({"suspended_at": None}, "suspended_at"),
    ]:
        said = ann.post("strategies", new(**changes))
        assert said.status_code == 422, (changes, said.json())
        assert field in said.json()["error"]["details"]["fields"], said.json()
    assert Strategy.objects.count() == 1


def test_a_change_needs_the_version_that_was_seen(ann: Asker) -> None:
    row = strategy()
    path = f"strategies/{row.pk}"
    assert code_of(ann.send("patch", path, {"priority": 5})) == (400, "VERSION_MISSING")
    changed = ann.send("patch", path, {"priority": 5, "version": 1})
    assert (changed.status_code, changed.json()["priority"], changed["ETag"]) == (200, 5, '"2"')
    stale = ann.send("patch", path, {"priority": 6, "version": 1})
    assert (code_of(stale), stale.json()["error"]["details"]["version"]) == ((409, "STALE_VERSION"), 2)
    seen = ann.get(path)["ETag"]
    assert ann.send("patch", path, {"mode": "approve"}, **{"If-Match": seen}).json()["mode"] == "approve"
    assert code_of(ann.send("patch", path, {"mode": "auto"}, **{"If-Match": seen})) == (409, "STALE_VERSION")
    assert code_of(ann.send("patch", path, {"mode": "auto"}, **{"If-Match": '"x"'})) == (422, "INVALID")
    same = ann.send("patch", path, {"mode": "approve", "version": 3})
    assert (same.status_code, same.json()["version"]) == (200, 3)
    assert code_of(ann.send("patch", path, {"instruments": [], "version": 3})) == (422, "INVALID")
    assert code_of(ann.send("patch", "strategies/999999", {"version": 1})) == (404, "UNKNOWN_STRATEGY")
    assert ann.send("delete", path).status_code == 405


def test_it_is_turned_off_and_on(ann: Asker) -> None:
    row = strategy()
    assert ann.post(f"strategies/{row.pk}/disable").json()["enabled"] is False
    assert ann.post(f"strategies/{row.pk}/disable").json()["version"] == 2
    assert ann.post(f"strategies/{row.pk}/enable").json()["enabled"] is True
    assert code_of(ann.post(f"strategies/{row.pk}/enable", {"why": "x"})) == (422, "UNKNOWN_FIELD")


def test_only_a_person_resumes_what_a_control_suspended(ann: Asker) -> None:
    row = strategy()
    with audit.recording():
        strategy_suspend(row.pk, "TOO_MANY_ORDERS_TODAY", market_at=None)
    path = f"strategies/{row.pk}/resume"
    robot = program("rob", *ALL, scopes=("admin", "trade"))
    assert code_of(robot.post(path, {"reason": "go on"})) == (403, "PERSON_NEEDED")
    assert code_of(ann.post(path, {})) == (422, "INVALID")
    assert ann.post(path, {"reason": "looked at it"}).json()["suspended_at"] is None
    assert code_of(ann.post(path, {"reason": "looked at it"})) == (409, "NOT_SUSPENDED")


def test_a_key_sees_and_changes_only_its_own_strategies() -> None:
    mine, other = strategy("mine"), strategy("other")
    robot = program("rob", *ALL, scopes=("read", "admin"), strategies=(mine.pk,))
    assert [row["name"] for row in robot.get("strategies").json()["results"]] == ["mine"]
    assert robot.get(f"strategies/{mine.pk}").status_code == 200
    assert robot.post(f"strategies/{mine.pk}/disable").status_code == 200
    for answer in (
        robot.get(f"strategies/{other.pk}"),
        robot.get("strategies/999999"),
        robot.post(f"strategies/{other.pk}/disable"),
        robot.send("patch", f"strategies/{other.pk}", {"priority": 1, "version": 1}),
        robot.post("strategies", new()),
    ):
        assert code_of(answer) == (403, "KEY_LIMITED")
    other.refresh_from_db()
    assert other.enabled
    reader = program("ria", *ALL, scopes=("read",))
    assert code_of(reader.post(f"strategies/{mine.pk}/enable")) == (403, "SCOPE_MISSING")


def test_workflows_say_their_steps_and_what_each_may_be_told(ann: Asker) -> None:
    version = published([{"name": "check_session"}, {"name": "fetch_data", "parameters": {"timeframes": [1, 2]}}])
    listed = ann.get("workflows").json()["results"]
    assert [(row["versions"], row["published"]) for row in listed] == [(1, version.pk)]
    told = ann.get(f"workflows/{version.workflow_id}").json()
    assert [step["name"] for step in told["versions"][0]["steps"]] == ["check_session", "fetch_data"]
    form = next(step for step in told["steps"] if step["name"] == "fetch_data")
    assert {"name": "timeframes", "type": "array", "items": "integer", "default": [1, 2]} in form["parameters"]
    assert form["needs"] == ["check_session"]
    assert code_of(ann.get("workflows/999999")) == (404, "NOT_SET_UP")


def test_instruments_and_limits_are_read(ann: Asker) -> None:
    row, profile = instrument(), RiskProfile.objects.create(name="careful")
    assert ann.get("instruments?symbol=AAPL").json()["results"][0]["tick"] == "0.010000"
    assert ann.get(f"instruments/{row.pk}").json()["con_id"] == 265598
    limits = ann.get(f"risk-profiles/{profile.pk}").json()["limits"]
    assert (limits["max_open_orders"], limits["approval_above_value"]) == (10, None)
    assert [one["name"] for one in ann.get("risk-profiles").json()["results"]] == ["careful"]
    assert code_of(ann.get("instruments?colour=red")) == (422, "UNKNOWN_FIELD")
    limited = program("rob", *SETTINGS, scopes=("read",), strategies=(1,))
    assert code_of(limited.get("instruments")) == (403, "KEY_LIMITED")
