"""The desk's figures against its rows, also of what is decided anew long after it was written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from autotrader.core.clock import system_now
from tests.trading.asking import asked, person, say
from trading.models import Decision, WorkflowExecution
from trading.selectors.figures import DeskFigures

LATER = timedelta(minutes=10)


def counted(figures: DeskFigures) -> dict[tuple[Any, ...], Any]:
    (found,) = (figure for figure in figures.read(system_now() + LATER) if figure.name == "decisions")
    return {tuple(labels): number for labels, number in found.samples.items() if number}


def test_a_decision_that_a_person_refuses_late_is_counted_once(db: None) -> None:
    approval = asked()
    WorkflowExecution.objects.update(state="COMPLETED")
    figures = DeskFigures()
    assert counted(figures) == {("buy", "ALLOWED"): 1}
    say(approval, person("rita"), yes=False, reason="not today")
    assert Decision.objects.get().state == "REFUSED"
    assert counted(figures) == {("buy", "REFUSED"): 1}
    assert counted(figures) == {("buy", "REFUSED"): 1}


def test_a_decision_whose_order_is_refused_at_the_last_look_is_counted_once(db: None) -> None:
    asked()
    figures = DeskFigures()
    assert counted(figures) == {("buy", "ALLOWED"): 1}
    Decision.objects.update(state="REFUSED")
    WorkflowExecution.objects.update(state="COMPLETED")
    assert counted(figures) == {("buy", "REFUSED"): 1}
