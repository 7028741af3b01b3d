"""Reading a version's steps: what is unknown, mistyped or out of order is refused by name; published is for ever."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from autotrader.core.audit.models import Event
from autotrader.core.errors import Conflict, Invalid
from tests.trading.builders import STEPS, published
from trading.models import Workflow, WorkflowVersion
from trading.services.demo import TWO_INDICATORS
from trading.services.workflows import workflow_publish, workflow_version_add
from trading.workflow.spec import MAX_DELAY_SECONDS, step_names, validate


def step(name: str, delay_s: Any = 0, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "parameters": parameters, "delay_s": delay_s}


START = [step("check_session"), step("fetch_data")]


def test_the_shipped_workflow_is_sound() -> None:
    specs = validate(TWO_INDICATORS)
    assert [spec.name for spec in specs] == [row["name"] for row in TWO_INDICATORS]
    assert specs[1].parameters.timeframes == (1, 2)
    assert all(spec.delay_s == 0 for spec in specs)


def test_another_version_reads_differently() -> None:
    specs = validate([
        step("check_session", required=False), step("fetch_data", timeframes=[1], min_bars=[60]),
        step("generate_chart", delay_s=30, rsi_period=7),
    ])  # fmt: skip
    assert (specs[0].parameters.required, specs[1].parameters.min_bars) == (False, (60,))
    assert (specs[2].parameters.rsi_period, specs[2].delay_s) == (7, 30)


def test_a_step_with_its_name_only_has_its_defaults() -> None:
    (spec,) = validate([{"name": "check_session"}])
    assert (spec.parameters.required, spec.delay_s) == (True, 0)


@pytest.mark.parametrize(
    ("steps", "position"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ("check_session", None),
        (["check_session"], 1),
        ([{}], 1),
        ([{"name": None}], 1),
        ([{"name": ["check_session"]}], 1),
        ([step("check_session"), step("no_such_step")], 2),
        ([step("../steps/check_session")], 1),
        ([step("__init__")], 1),
        ([{"name": "check_session", "retries": 3}], 1),
        ([step("check_session", threshold=1)], 1),
        ([step("check_session", required="yes")], 1),
        ([step("check_session", required=1)], 1),
        ([{"name": "check_session", "parameters": None}], 1),
        ([{"name": "check_session", "parameters": [1]}], 1),
        ([step("check_session"), step("fetch_data", timeframes=1, min_bars=[1])], 2),
        ([step("check_session"), step("fetch_data", timeframes=["1"], min_bars=[1])], 2),
        ([step("check_session"), step("fetch_data", timeframes=[True], min_bars=[1])], 2),
        ([step("check_session"), step("fetch_data", timeframes=[1], min_bars=[1.5])], 2),
        ([step("check_session"), step("fetch_data", timeframes=[], min_bars=[])], 2),
        ([step("check_session"), step("fetch_data", timeframes=[1, 2], min_bars=[1])], 2),
        ([*START, step("generate_chart", rsi_period=True)], 3),
        ([*START, step("generate_chart", rsi_period="14")], 3),
        ([*START, step("generate_chart", rsi_period=14.0)], 3),
        ([*START, step("generate_chart", rsi_period=0)], 3),
        ([*START, step("generate_chart", rsi_period=1001)], 3),
        ([step("fetch_data")], 1),
        ([step("fetch_data"), step("check_session")], 1),
        ([*START, step("decide")], 3),
        ([step("place_order")], 1),
        ([step("check_session"), step("check_session")], 2),
        ([step("check_session", delay_s=-1)], 1),
        ([step("check_session", delay_s=1.5)], 1),
        ([step("check_session", delay_s=True)], 1),
        ([step("check_session", delay_s="5")], 1),
        ([step("check_session", delay_s=None)], 1),
        ([step("check_session", delay_s=MAX_DELAY_SECONDS + 1)], 1),
    ],
)
def test_what_is_wrong_is_refused_at_its_step(steps: Any, position: int | None) -> None:
    with pytest.raises(Invalid) as caught:
        validate(steps)
    assert caught.value.reason == "WORKFLOW_INVALID"
    assert caught.value.details.get("step") == position


def test_the_longest_delay() -> None:
    assert validate([step("check_session", delay_s=MAX_DELAY_SECONDS)])[0].delay_s == MAX_DELAY_SECONDS


@pytest.mark.parametrize("name", step_names())
def test_every_step_has_the_same_shape(name: str) -> None:
    module = import_module(f"trading.workflow.steps.{name}")
    assert callable(module.run)
    assert set(module.NEEDS) <= set(step_names()) - {name}
    assert dataclasses.is_dataclass(module.Parameters)
    assert module.Parameters() == module.Parameters(), "every parameter has a default"
    assert module.Parameters.__dataclass_params__.frozen


def test_the_steps_are_those_of_the_desk() -> None:
    assert set(step_names()) == {row["name"] for row in TWO_INDICATORS}


# Versions


def test_versions_are_numbered_from_one(db: None) -> None:
    workflow, other = Workflow.objects.create(name="w"), Workflow.objects.create(name="other")
    assert [workflow_version_add(workflow, STEPS).number for _ in range(3)] == [1, 2, 3]
    assert workflow_version_add(other, STEPS).number == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        WorkflowVersion.objects.create(workflow=workflow, number=3, steps=STEPS)


def test_a_version_is_published_once(db: None) -> None:
    version = published()
    assert (version.published_by, version.published_at is not None) == ("test", True)
    with pytest.raises(Conflict):
        workflow_publish(version, actor="somebody else")
    version.refresh_from_db()
    assert version.published_by == "test"
    assert Event.objects.filter(type="WORKFLOW_PUBLISHED").count() == 1
    again = workflow_version_add(version.workflow, TWO_INDICATORS)
    version.refresh_from_db()
    assert (again.number, again.published_at, version.steps) == (2, None, STEPS)
