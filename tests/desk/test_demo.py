"""`manage.py demo`: the whole walk on a real gateway, and what it says where a step cannot be done."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from autotrader.core.audit.verify import verify_chain
from broker.gates import HaltState, halt_set
from trading.models import Fill, Trade

pytestmark = pytest.mark.once


def walked() -> tuple[int, dict[str, Any]]:
    """The exit code and what was told."""
    out = StringIO()
    try:
        call_command("demo", "--json", stdout=out, stderr=StringIO())
    except SystemExit as end:
        return int(end.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def test_every_step_agrees_with_the_exchange(transactional_db: None) -> None:
    code, told = walked()
    wrong = [check for step in told["steps"] for check in step["checks"] if check["ours"] != check["theirs"]]
    assert (code, told["ok"], wrong) == (0, True, []), told["steps"][-1]
    names = [step["name"] for step in told["steps"]]
    assert names == ["Account", "Quote", "Preview", "Order", "Fill", "Cancel", "Exit", "Audit"]
    assert all(step["checks"] for step in told["steps"])
    assert Fill.objects.count() == 2
    assert Trade.objects.get().state == "CLOSED"
    assert verify_chain().ok


def test_a_halted_desk_ends_the_walk_with_the_reason(transactional_db: None) -> None:
    halt_set(HaltState.HALTED, actor="test", reason="closed today")
    code, told = walked()
    assert (code, told["ok"], told["steps"][-1]["name"]) == (1, False, "Preview")
    assert not Fill.objects.exists()


def test_it_never_runs_against_a_real_broker(db: None, settings: Any) -> None:
    settings.AUTOTRADER_BROKER = "tws"
    with pytest.raises(CommandError) as refused:
        call_command("demo", "--json")
    assert refused.value.returncode == 2
