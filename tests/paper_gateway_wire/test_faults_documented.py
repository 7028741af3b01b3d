"""docs/paper-gateway-faults.md names every fault with its own parameters, and every command."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from broker.paper_gateway.commands import COMMANDS
from broker.paper_gateway.faults.base import Fault
from broker.paper_gateway.faults.registry import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "paper-gateway-faults.md").read_text()
COMMON = {item.name for item in fields(Fault)}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_documented(name: str) -> None:
    lines = [line for line in PAGE.splitlines() if f"`{name}`" in line]
    assert lines
    own = {item.name for item in fields(FAULTS[name]) if item.init} - COMMON
    words = PAGE if name == "connectivity" else "\n".join(lines)
    assert [parameter for parameter in own if f"`{parameter}`" not in words] == []


@pytest.mark.parametrize("name", [item.name for item in fields(Fault) if item.init])
def test_what_all_faults_have_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE
