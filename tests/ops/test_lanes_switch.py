"""How soon the loop of a process that answers gets the interpreter back from its lanes."""

from __future__ import annotations

import sys

import pytest

from autotrader.core.ops.lanes import SWITCH_S, favour_answers


def test_a_process_that_answers_takes_the_interpreter_from_its_lanes_sooner() -> None:
    before = sys.getswitchinterval()
    try:
        favour_answers()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        assert before > SWITCH_S
    finally:
        sys.setswitchinterval(before)
